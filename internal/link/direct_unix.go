//go:build unix

package link

import "syscall"

// rawWriter writes to a socket that does not block.
type rawWriter struct {
	raw syscall.RawConn
	f   func(fd uintptr) bool // t.write as a value
	b   []byte
	n   int
}

func newRawWriter(raw syscall.RawConn) directWriter {
	t := &rawWriter{raw: raw}
	t.f = t.write
	return t
}

func (t *rawWriter) tryWrite(b []byte) int {
	t.b, t.n = b, 0
	t.raw.Write(t.f) // its error is that of the connection, which the next write gets
	t.b = nil
	return t.n
}

func (t *rawWriter) write(fd uintptr) bool {
	for {
		n, err := syscall.Write(int(fd), t.b)
		if err != syscall.EINTR {
			t.n = max(0, n)
			return true // also if it took nothing: do not wait
		}
	}
}
