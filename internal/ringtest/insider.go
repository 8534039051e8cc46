package ringtest

import (
	"io"
	"net"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/internal/wire"
)

// Insider is a process at the ports of a secure ring that a test plays by hand. It has a key, and
// a listener that lets each connection in. Once it has an admission it is a member.
type Insider struct {
	*Credentials
	Config     *handshake.Config
	Addr       string        // of its listener
	Conn       *control.Conn // to the registry; nil before Register
	Registered control.Registered

	tr     *Ring
	secret secure.Secret
	ports  net.Listener
}

// Insider makes one on a host of the network. It has not registered.
func (tr *Ring) Insider(host string) *Insider {
	tr.T.Helper()
	line, err := secure.ParseJoinLine(tr.Line())
	if err != nil {
		tr.T.Fatal(err)
	}
	in := &Insider{
		Credentials: &Credentials{Key: drawKey(), Trust: secure.Trust{Pin: &line.Pin}},
		Config:      DialConfig(), tr: tr, secret: line.Secret,
	}
	if tr.Net != nil {
		in.Config.Transport = tr.Net.Host(host)
	}
	in.Config.Security = in.Credentials
	l, err := in.Config.Transport.Listen(tr.Ctx(), net.JoinHostPort(host, "0"))
	if err != nil {
		tr.T.Fatal(err)
	}
	in.Addr, in.ports = l.Addr().String(), l
	tr.T.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			tr.T.Cleanup(func() { conn.Close() })
			go func() {
				over, _, _, err := in.Config.Welcome(conn, func(wire.Hello, secure.Proof) wire.Answer { return wire.Answer{} })
				if err == nil {
					io.Copy(io.Discard, over)
				}
				conn.Close()
			}()
		}
	}()
	return in
}

// Close ends its listener, and its connection to the registry. The end of the test does so too.
func (in *Insider) Close() {
	in.ports.Close()
	if in.Conn != nil {
		in.Conn.Close()
	}
}

// Dial connects to the registry. It does not register.
func (in *Insider) Dial() (secure.Proof, error) {
	conn, _, proof, err := in.Config.Dial(in.tr.Ctx(), in.tr.Addr, wire.Hello{Role: wire.RoleMember})
	if err != nil {
		return proof, err
	}
	in.Conn = control.NewConn(conn, in.Config.Codec, 1<<20)
	in.tr.T.Cleanup(in.Conn.Close)
	in.Trust.Keys = []secure.Key{proof.Key}
	return proof, nil
}

// Register connects to the registry and sends a Register, which change may change. It proves the
// secret of the ring's line, unless it has an admission to show. It returns a refusal, or an error
// if there was no answer.
func (in *Insider) Register(change func(*control.Register)) (*control.Refused, error) {
	proof, err := in.Dial()
	if err != nil {
		return nil, err
	}
	r := control.Register{Addr: in.Addr}
	if proof.State.NegotiatedProtocol == secure.JoinProtocol {
		b, err := secure.JoinProof(in.secret, proof.State, secure.KeyOf(in.Key))
		if err != nil {
			return nil, err
		}
		r.Proof = secure.Text(b)
	}
	if change != nil {
		change(&r)
	}
	return in.Say(r)
}

// Say sends a Register over the connection, and returns a refusal or an error.
func (in *Insider) Say(r control.Register) (*control.Refused, error) {
	if err := in.Conn.Send(control.TypeRegister, r); err != nil {
		return nil, err
	}
	for {
		t, body, err := in.Conn.Recv()
		switch {
		case err != nil:
			return nil, err
		case t == control.TypeRefused:
			refused := new(control.Refused)
			return refused, in.Conn.Decode(body, refused)
		case t == control.TypeRegistered:
			if err := in.Conn.Decode(body, &in.Registered); err != nil {
				return nil, err
			}
			in.Admission, err = secure.Bytes(in.Registered.Admission, secure.AdmissionSize)
			return nil, err
		}
	}
}

// Link dials a node as a link from an incarnation.
func (in *Insider) Link(to string, h wire.Hello) (net.Conn, error) {
	h.Role = wire.RoleLink
	conn, _, _, err := in.Config.Dial(in.tr.Ctx(), to, h)
	if err == nil {
		in.tr.T.Cleanup(func() { conn.Close() })
	}
	return conn, err
}
