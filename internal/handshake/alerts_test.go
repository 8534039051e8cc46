package handshake_test

import (
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/x/ringdht/internal/errs"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
)

// A stranger in the registry's place sends an alert of TLS, seven bytes in the clear. A node must not
// believe from it that it was expelled, or that its admission is good no more: it would end for that.
func TestAlertsInTheClearProveNothing(t *testing.T) {
	for alert := range 256 {
		network := memnet.New(1)
		l, err := network.Host("far").Listen(t.Context(), "far:1")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			conn, err := l.Accept()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			conn.Read(make([]byte, 1<<12))
			conn.Write([]byte{21, 3, 3, 0, 2, 2, byte(alert)})
		}()
		near := configOver(t, network, "near", ringtest.NewRingKey().Member(1, 11))
		_, _, _, err = near.Dial(t.Context(), "far:1", wire.Hello{Role: wire.RoleMember})
		if err == nil {
			t.Fatal("no error")
		}
		for _, believed := range []error{secure.ErrRevoked, secure.ErrExpired, secure.ErrNotAdmitted, secure.ErrOtherKey, errs.ErrNotMember, errs.ErrEvicted} {
			if errors.Is(err, believed) {
				t.Errorf("alert %d: %v, which matches %q", alert, err, believed)
			}
		}
		<-done
		l.Close()
	}
}

// A side that has proven nothing cannot have the accepting side keep a large certificate of its, or
// one of many extensions, with a connection that it then leaves open.
func TestALargeCertificateIsRefused(t *testing.T) {
	for name, size := range map[string]int{"large": 200 << 10, "just too large": 16 << 10} {
		t.Run(name, func(t *testing.T) {
			key := ringtest.NewRingKey()
			c, err := secure.Certificate(key.Newcomer().Key, make([]byte, size), nil)
			if err != nil {
				t.Fatal(err)
			}
			near, far := tcpPair(t)
			err = acceptedOver(t, key.Registry(), near, far, func(conn net.Conn) {
				over := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{secure.JoinProtocol}, Certificates: []tls.Certificate{*c}})
				if over.Handshake() == nil {
					over.Read(make([]byte, 1))
				}
			})
			if err == nil || !strings.Contains(err.Error(), "a handshake of more than 16384 bytes") || !handshake.IsStranger(err) {
				t.Error(err)
			}
		})
	}
}
