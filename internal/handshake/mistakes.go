package handshake

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/internal/wire"
)

// An accepting side gives an honest mistake an answer that the other side understands: a hello in
// the open at a secure port, TLS at an open one, and HTTP at either.

// mistake is what a connection that speaks something else is told, and what is logged.
type mistake struct {
	answer []byte // nil for none
	err    error
}

// httpAnswer is for a browser, or for a health check.
const httpAnswer = "HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n" +
	"This is a port of a ringdht ring, for its nodes. The ring's page is at another port, which its registry prints.\n"

var httpMethods = []string{"GET ", "HEAD", "POST", "PUT ", "DELE", "OPTI", "CONN", "PATC", "TRAC", "PRI "}

// mistakeOf returns what to do about a connection by its first bytes, of which there are at least
// five, or fewer if it has ended. It is not what this side speaks.
func mistakeOf(first []byte, secured bool) mistake {
	switch {
	case secured && bytes.HasPrefix(first, []byte("RDHT")):
		return mistake{
			wire.Answer{Status: wire.NotAdmitted, Reason: "this ring is secure: join with the join line that its registry prints, not by host:port"}.Append(nil),
			errors.New("refused: a node without TLS, and this ring is secure: that node needs the join line, not host:port"),
		}
	case !secured && len(first) >= 2 && first[0] == 0x16 && first[1] == 3:
		// The other side sees only that this is no TLS: see explained.
		return mistake{
			wire.Answer{Status: wire.WrongRing, Reason: openRing}.Append(nil),
			errors.New("refused: a secure node dials this open ring (or another program with TLS): join it by host:port, or start the registry with security"),
		}
	case len(first) >= 4 && slices.Contains(httpMethods, string(first[:4])):
		return mistake{[]byte(httpAnswer), fmt.Errorf("refused: HTTP was received (%q), and this is a port for nodes: the page has another address", first)}
	case secured:
		return mistake{nil, fmt.Errorf("%w: neither TLS nor a node without it: it starts with %q", wire.ErrNotRing, first)}
	}
	return mistake{}
}

const openRing = "this ring is open, without TLS: join it by host:port, not with a join line; or start its registry with security (-secure)"

// How long the last words to a connection may take, and how much of it is read meanwhile.
const (
	farewellTime  = time.Second
	farewellBytes = 64 << 10
)

// farewell sends a connection its last bytes. A connection that is closed while it has unread bytes
// may be reset, and the other side would never read these. So they are read, within bounds.
func farewell(conn net.Conn, answer []byte) {
	if answer == nil || setDeadline(conn, time.Now().Add(farewellTime)) != nil {
		return
	}
	if _, err := conn.Write(answer); err != nil {
		return
	}
	if c, ok := conn.(interface{ CloseWrite() error }); ok && c.CloseWrite() == nil {
		io.CopyN(io.Discard, conn, farewellBytes)
	}
}

// unsuited returns why a dialling side shares no protocol with this one, by what it has offered.
func unsuited(offered, accepts []string) error {
	switch {
	case slices.Contains(offered, secure.JoinProtocol):
		return errors.New("refused: a node wants to join here, and this is a node: it needs the registry's join line")
	case slices.Contains(offered, secure.ProbeProtocol):
		return errors.New("refused: a registry looks for a node here, and this is a registry: a node advertises this address")
	case slices.ContainsFunc(offered, func(p string) bool { return strings.HasPrefix(p, "rdht") }):
		return fmt.Errorf("refused: a node of another version, which speaks %s: this one speaks %q", few(offered), accepts)
	}
	return fmt.Errorf("refused: TLS for %s, such as of a browser, and this is a port for nodes: the page has another address", few(offered))
}

// few quotes the first of what another side has listed.
func few(list []string) string {
	const most, long = 3, 40
	var quoted []string
	for _, s := range list[:min(len(list), most)] {
		quoted = append(quoted, strconv.Quote(s[:min(len(s), long)]))
	}
	text := strings.Join(quoted, " ")
	if more := len(list) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// isPassing reports whether a handshake failed for a reason that may pass: the connection broke, or
// took too long.
func isPassing(err error) bool {
	var op *net.OpError
	if errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error") { // an alert of TLS
		return false
	}
	_, header := errors.AsType[tls.RecordHeaderError](err)
	var network net.Error
	return !header && (errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed))
}

// isHangUp reports whether the other side has closed the connection. That may pass: a program that
// does not know TLS does so, and one that ends or makes room does too.
func isHangUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)
}
