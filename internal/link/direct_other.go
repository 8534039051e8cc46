//go:build !unix

package link

import "syscall"

func newRawWriter(syscall.RawConn) directWriter { return nil }
