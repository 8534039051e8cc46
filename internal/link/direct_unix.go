//go:build unix

package link

import "syscall"

// rawWriter writes to a non-blocking socket.
type rawWriter struct {
	raw syscall.RawConn
	f   func(fd uintptr) bool // t.write as a value, made once to save an allocation
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
	t.raw.Write(t.f) // an error ends the connection, and the next write returns it
	t.b = nil
	return t.n
}

func (t *rawWriter) write(fd uintptr) bool {
	for {
		n, err := syscall.Write(int(fd), t.b)
		if err != syscall.EINTR {
			t.n = max(0, n)
			return true // also if nothing was written: do not wait for the socket
		}
	}
}
