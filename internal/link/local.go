package link

import (
	"net"
	"runtime"
)

// localWriteBuffer is the size of the kernel's write buffer for a connection within one
// machine. The kernel sizes the buffer by the bytes in flight. That is right between
// machines. Within one machine nothing is in flight, and the buffer grows to megabytes: the
// bytes leave the processor's caches before they are read, and each is fetched from memory
// several times. 64 KiB and 384 KiB bring less, 128 KiB and 256 KiB about the same (step 16 in
// docs/performance-notebook.md). Bytes that do not fit wait in the Writer's queue, as on a slow
// network.
//
// Address translation can make another machine look like this one. Such a connection stays
// correct, but carries at most this buffer in each round trip. Connections of other types
// than package net's are left alone, unless they have a NetConn method, as TLS has.
//
// Rejected: a bound on the receive buffer of the other end. TCP's window then opens and
// closes for each read.
const localWriteBuffer = 192 << 10

// setLocalWriteBuffer gives a connection within the machine a write buffer of that size.
// Only Linux was measured; other systems start with a smaller buffer.
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

// sameMachine reports whether both ends are on the same machine.
func sameMachine(a, b net.Addr) bool {
	x, ok := a.(*net.TCPAddr)
	y, also := b.(*net.TCPAddr)
	return ok && also && (x.IP.Equal(y.IP) || x.IP.IsLoopback() && y.IP.IsLoopback())
}
