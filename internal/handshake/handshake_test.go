package handshake

import (
	"io"
	"net"
	"testing"
)

func TestEOFBetweenFramesIsAnOrdinaryEnd(t *testing.T) {
	if IsProtocolError(io.EOF) || IsProtocolError(net.ErrClosed) || !IsProtocolError(io.ErrUnexpectedEOF) {
		t.Error("the ends of connections are told apart wrongly")
	}
}
