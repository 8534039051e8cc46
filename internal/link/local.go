package link

import (
	"net"
	"runtime"
)

// localWriteBuffer is how many bytes the kernel may hold of what was written to a connection
// within one machine and has not reached the other end. Between machines that is as much as is on its
// way, and the kernel finds it out; here nothing is ever on its way, and what it
// finds is megabytes, which leave the processor's caches before they are read. Every
// byte is then fetched from memory several times. With 64 KiB short messages wait, with
// 256 KiB or 384 KiB long ones are slower again; see docs/performance.md. What does not
// fit waits in the queue, as a slow network would have it.
//
// Addresses may be translated so that another machine seems to be this one. Such a connection
// carries what is right and not more than this buffer each round trip. Connections that are
// neither of package net's type nor say by NetConn, as TLS does, what is below them are left alone.
//
// Rejected: bounding what the other end may receive and has not read; TCP's window then
// opens and closes for each read.
const localWriteBuffer = 192 << 10

// setLocalWriteBuffer gives a connection that does not leave the machine a buffer of its size. Only
// Linux has been looked at; others begin with less than this.
func setLocalWriteBuffer(conn net.Conn) {
	if runtime.GOOS != "linux" {
		return
	}
	if c, ok := conn.(interface{ NetConn() net.Conn }); ok { // TLS
		conn = c.NetConn()
	}
	if c, ok := conn.(*net.TCPConn); ok && sameMachine(c.LocalAddr(), c.RemoteAddr()) {
		c.SetWriteBuffer(localWriteBuffer) // if it fails the connection is as good as before
	}
}

// sameMachine says whether both ends are on the same machine.
func sameMachine(a, b net.Addr) bool {
	x, ok := a.(*net.TCPAddr)
	y, also := b.(*net.TCPAddr)
	return ok && also && (x.IP.Equal(y.IP) || x.IP.IsLoopback() && y.IP.IsLoopback())
}
