package handshake_test

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/memnet"
)

// bareHanded are the credentials of a node that is closing: it has nothing to present.
type bareHanded struct{ handshake.Security }

func (bareHanded) Certificate(context.Context, string) (*tls.Certificate, error) {
	return nil, errors.New("closing")
}

// A peer that is killed in the middle of TLS, or has nothing to present, is no reason for a warning: a
// restart explains it. It is no stranger, either. A peer that stays silent there is.
func TestBrokenOffHandshakeIsNoWarning(t *testing.T) {
	key := ringtest.NewRingKey()
	cutOff := []byte{0x16, 3, 1, 2, 0, 1} // a ClientHello's first bytes
	for name, c := range map[string]struct {
		first []byte // it is there before the other side's time begins
		does  func(near net.Conn)
		level slog.Level
		text  string
	}{
		"killed": {cutOff, func(net.Conn) {}, slog.LevelInfo, "the other side broke off"},
		"reset":  {cutOff, func(near net.Conn) { near.(*net.TCPConn).SetLinger(0) }, slog.LevelInfo, "the other side broke off"},
		"nothing to present": {nil, func(near net.Conn) {
			side := secure.Side{Certificate: bareHanded{}.Certificate, Check: func(*tls.ConnectionState) error { return nil }}
			tls.Client(near, side.Client(secure.Protocol)).Handshake()
		}, slog.LevelInfo, "the other side broke off"},
		"silent": {cutOff, func(near net.Conn) {
			near.Read(make([]byte, 1)) // until the other side gives up
		}, slog.LevelWarn, "the other side did not finish its handshake in time"},
	} {
		t.Run(name, func(t *testing.T) {
			log := ringtest.NewLog()
			cfg := configOver(t, memnet.New(1), "far", key.Member(2, 22))
			cfg.Log, cfg.Timeout = slog.New(slog.NewTextHandler(log, nil)), time.Minute
			if name == "silent" {
				cfg.Timeout = time.Second
			}
			near, far := tcpPair(t)
			defer near.Close()
			near.Write(c.first)
			done := make(chan struct{})
			go func() {
				defer close(done)
				c.does(near)
				near.Close()
			}()
			conn, _, _, err := cfg.Welcome(far, nil)
			cfg.RefusedConn(conn, err)
			conn.Close()
			<-done
			if text := log.Text(); !strings.Contains(text, c.level.String()) || !strings.Contains(text, c.text) || handshake.IsStranger(err) {
				t.Errorf("%v, a stranger: %v\n%s", err, handshake.IsStranger(err), text)
			}
		})
	}
}

// A node that has nothing to present yet refuses the peers that have heard of it first. A restart
// explains that, so it is no warning, and they are no strangers.
func TestPeerBeforeTheAdmissionIsNoWarning(t *testing.T) {
	key, log := ringtest.NewRingKey(), ringtest.NewLog()
	cfg := configOver(t, memnet.New(1), "far", notYet{key.Member(2, 22)})
	cfg.Log = slog.New(slog.NewTextHandler(log, nil))
	near, far := tcpPair(t)
	defer near.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		side := secure.Side{Certificate: key.Member(3, 33).Certificate, Check: func(*tls.ConnectionState) error { return nil }}
		tls.Client(near, side.Client(secure.Protocol)).Handshake()
	}()
	conn, _, _, err := cfg.Welcome(far, nil)
	cfg.RefusedConn(conn, err)
	conn.Close()
	<-done
	if text := log.Text(); handshake.IsStranger(err) || !strings.Contains(text, "not admitted to the ring yet") || !strings.Contains(text, "level=INFO") || strings.Contains(text, "level=WARN") {
		t.Errorf("%v\n%s", err, text)
	}
}

// notYet is a node that waits for its admission.
type notYet struct{ handshake.Security }

func (notYet) Certificate(context.Context, string) (*tls.Certificate, error) {
	return nil, handshake.ErrNoAdmission
}
