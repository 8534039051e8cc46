//go:build !unix

package link

import "syscall"

func newRawTrier(syscall.RawConn) trier { return nil }
