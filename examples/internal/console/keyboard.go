package console

import (
	"io"
	"sync"
	"time"
)

// awayPoll is how often a program in the background of its shell looks whether it has come
// back. No signal says so.
const awayPoll = 200 * time.Millisecond

// keyboard reads keys from a terminal, for the line editor or for a view. It reads only when
// keys are wanted and none is left, so it holds at most those of one read. All else that was
// typed ahead stays in the terminal.
type keyboard struct {
	tty *tty

	mu      sync.Mutex
	keys    []key
	err     error // the end of the keys
	reading bool  // a read is under way
	viewing bool  // keys are for the view
	changed chan struct{}
	decoder decoder // owned by the read under way
}

func newKeyboard(t *tty) *keyboard { return &keyboard{tty: t, changed: make(chan struct{})} }

// take returns the next key for the editor or for a view, if there is one. Otherwise the
// channel is closed when that may have changed. The caller may put the key back.
func (k *keyboard) take(viewing bool) (next key, ok bool, changed <-chan struct{}, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.viewing != viewing:
	case len(k.keys) > 0:
		next, k.keys = k.keys[0], k.keys[1:]
		return next, true, nil, nil
	case k.err != nil:
		return key{}, false, nil, k.err
	case !k.reading:
		k.reading = true
		go k.read()
	}
	return key{}, false, k.changed, nil
}

// skip drops all keys up to the next that edits.
func (k *keyboard) skip() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.keys) > 0 && k.keys[0].printable() {
		k.keys = k.keys[1:]
	}
}

// put puts a key before all others.
func (k *keyboard) put(first key) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys = append([]key{first}, k.keys...)
	k.change()
}

// view gives the keys to a view, or back to the editor.
func (k *keyboard) view(on bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.viewing = on
	k.change()
}

// change wakes those that wait. The caller holds mu.
func (k *keyboard) change() {
	close(k.changed)
	k.changed = make(chan struct{})
}

// read reads until there is a key. In the background of a shell it waits: the terminal
// refuses to be read there.
func (k *keyboard) read() {
	b := make([]byte, 4096)
	var keys []key
	var err error
	for len(keys) == 0 && err == nil {
		for !k.tty.foreground() {
			time.Sleep(awayPoll)
		}
		var n int
		n, err = k.tty.file.Read(b)
		keys = k.decoder.decode(b[:n])
		if refused(err) {
			if !k.tty.foreground() {
				err = nil
			} else {
				err = io.EOF // the terminal is gone
			}
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys, k.reading = append(k.keys, keys...), false
	k.err = err
	k.change()
}
