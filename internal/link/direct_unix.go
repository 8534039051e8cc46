//go:build unix

package link

import "syscall"

// rawTrier writes to a socket that does not block.
type rawTrier struct {
	raw syscall.RawConn
	f   func(fd uintptr) bool // t.write as a value
	b   []byte
	n   int
}

func newRawTrier(raw syscall.RawConn) trier {
	t := &rawTrier{raw: raw}
	t.f = t.write
	return t
}

func (t *rawTrier) try(b []byte) int {
	t.b, t.n = b, 0
	t.raw.Write(t.f) // its error is that of the connection, which the next write gets
	t.b = nil
	return t.n
}

func (t *rawTrier) write(fd uintptr) bool {
	for {
		n, err := syscall.Write(int(fd), t.b)
		if err != syscall.EINTR {
			t.n = max(0, n)
			return true // also if it took nothing: do not wait
		}
	}
}
