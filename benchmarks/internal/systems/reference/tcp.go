package reference

import (
	"context"
	"errors"
	"net"
)

// pair returns the two ends of a loopback connection.
//
// The sizes of the kernel's buffers are left to it, as ringdht leaves them. 256 KiB
// would keep more in the processor's caches and save a chain with a relay a third of
// its time at 4 KiB a message, but is too little for a fast network of some length.
func pair(ctx context.Context) (near, far net.Conn, err error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	var d net.Dialer
	near, err = d.DialContext(ctx, "tcp", l.Addr().String())
	if err != nil {
		return nil, nil, err
	}
	far, err = l.Accept() // the connection is there already: it cannot wait
	if err != nil {
		return nil, nil, errors.Join(err, near.Close())
	}
	return near, far, nil
}
