//go:build !(darwin || dragonfly || freebsd || linux || netbsd)

package console

import (
	"context"
	"os"
)

// windowSize is not implemented here. So nothing is drawn, and views are printed as lines.
func windowSize(any) (Size, bool) { return Size{}, false }

func terminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func refused(error) bool { return false }

// tty is not implemented here. So the system edits the lines that are typed.
type tty struct{ file *os.File }

func newTTY(any) *tty { return nil }

func (*tty) foreground() bool { return true }

func (*tty) raw() bool { return false }

func (*tty) restore() bool { return false }

func handleSignals() {}

// attend has no signals to wait for.
func (c *Console) attend(context.Context) (stop func()) { return func() {} }
