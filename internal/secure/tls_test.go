package secure

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"testing"

	"github.com/x/ringdht/memnet"
)

// meet makes a connection between two sides, and returns what each has proven to the other.
func meet(t *testing.T, client, server ed25519.PrivateKey, clientAdmission, serverAdmission []byte, trust *Trust) (atServer, atClient Proof, serverErr, clientErr error) {
	t.Helper()
	near, far := memnet.Pipe()
	defer near.Close()
	defer far.Close()
	side := func(key ed25519.PrivateKey, admission []byte, p *Proof) Side {
		return Side{
			Certificate: func(context.Context, string) (*tls.Certificate, error) { return Certificate(key, admission, nil) },
			Check: func(cs *tls.ConnectionState) (err error) {
				*p, _, err = trust.Prove(cs, at)
				return err
			},
		}
	}
	done := make(chan error)
	go func() {
		c := tls.Server(far, side(server, serverAdmission, &atServer).Server(Protocol, JoinProtocol))
		err := c.Handshake()
		if err == nil {
			c.Write([]byte{1})
		}
		done <- err
	}()
	c := tls.Client(near, side(client, clientAdmission, &atClient).Client(Protocol))
	clientErr = c.Handshake()
	if clientErr == nil { // the server's verdict comes behind the handshake
		_, clientErr = c.Read(make([]byte, 1))
	} else {
		near.Close()
	}
	return atServer, atClient, <-done, clientErr
}

func TestEndsProveWhatTheyAre(t *testing.T) {
	ring := keyFor("ring")
	trust := &Trust{Ring: RingOf(KeyOf(ring)), Keys: []Key{KeyOf(ring)}}
	a := someAdmission(ring)
	admission := a.Sign(ring)
	atServer, atClient, err, clientErr := meet(t, keyFor("node"), ring, admission, nil, trust)
	if err != nil || clientErr != nil || atServer.Kind != Member || atServer.Admission.ID != a.ID || atClient.Kind != Registry {
		t.Errorf("a member at the registry: %+v %v, %+v %v", atServer, err, atClient, clientErr)
	}
	atServer, _, err, clientErr = meet(t, keyFor("newcomer"), ring, nil, nil, trust)
	if err != nil || clientErr != nil || atServer.Kind != Newcomer || atServer.Key != KeyOf(keyFor("newcomer")) {
		t.Errorf("a newcomer: %+v %v %v", atServer, err, clientErr)
	}
	_, _, err, clientErr = meet(t, keyFor("thief"), ring, admission, nil, trust)
	if !errors.Is(err, ErrOtherKey) || clientErr == nil {
		t.Errorf("a stolen admission: %v, %v", err, clientErr)
	}
}

// A side that offers a later protocol as well is shown what the shared one needs.
func TestCertificateIsForTheSharedProtocol(t *testing.T) {
	for want, offered := range map[string][]string{
		Protocol:      {"rdht/3", Protocol},
		ProbeProtocol: {"rdht-probe/3", ProbeProtocol},
		JoinProtocol:  {JoinProtocol},
	} {
		near, far := memnet.Pipe()
		var asked string
		believe := func(*tls.ConnectionState) error { return nil }
		side := Side{
			Certificate: func(_ context.Context, protocol string) (*tls.Certificate, error) {
				asked = protocol
				return Certificate(keyFor("node"), nil, nil)
			},
			Check: believe,
		}
		done := make(chan error)
		go func() { done <- tls.Server(far, side.Server(Protocol, ProbeProtocol, JoinProtocol)).Handshake() }()
		config := Side{
			Certificate: func(context.Context, string) (*tls.Certificate, error) { return Certificate(keyFor("peer"), nil, nil) },
			Check:       believe,
		}.Client(want)
		config.NextProtos = offered
		c := tls.Client(near, config)
		err := errors.Join(c.Handshake(), <-done)
		if agreed := c.ConnectionState().NegotiatedProtocol; err != nil || agreed != want || asked != want {
			t.Errorf("%q were offered: agreed %q, the certificate is for %q, want %q: %v", offered, agreed, asked, want, err)
		}
		near.Close()
		far.Close()
	}
}
