//go:build !(darwin || dragonfly || freebsd || linux || netbsd)

package console

import "os"

// windowSize is not implemented here. So nothing is drawn, and views are printed as lines.
func windowSize(any) (Size, bool) { return Size{}, false }

func terminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func viewSignals() (<-chan os.Signal, func()) { return nil, func() {} }

func suspends(os.Signal) bool { return false }

func raise(os.Signal) {}
