package node_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/memnet"
)

// inHand runs a test of one node, in a bubble, with a registry whose answers the test says. The
// node has begun to join by its line.
func inHand(t *testing.T, test func(t *testing.T, h *ringtest.HandRegistry, network *memnet.Network, joined <-chan outcome), opts ...ringdht.NodeOption) {
	synctest.Test(t, func(t *testing.T) {
		network := memnet.New(1)
		h := ringtest.NewHandRegistry(t, network)
		joined := make(chan outcome, 1)
		go func() {
			n, err := ringtest.Join(t.Context(), h.Line, nil, append(opts, ringdht.WithTransport(network.Host("n")))...)
			if err == nil {
				t.Cleanup(func() { n.Close() })
			}
			joined <- outcome{n, err}
		}()
		test(t, h, network, joined)
	})
}

type outcome struct {
	*ringtest.Node
	err error
}

// admitted waits for a node that must have joined.
func admitted(t *testing.T, joined <-chan outcome) *ringtest.Node {
	t.Helper()
	j := <-joined
	if j.err != nil {
		t.Fatal(j.err)
	}
	return j.Node
}

// A newcomer proves the secret of its join line. With its admission it needs the secret no more.
func TestNodeProvesItsSecretOnce(t *testing.T) {
	inHand(t, func(t *testing.T, h *ringtest.HandRegistry, _ *memnet.Network, joined <-chan outcome) {
		s := h.Next()
		want, err := secure.JoinProof(h.Secret, s.Proof.State, s.Proof.Key)
		if err != nil {
			t.Fatal(err)
		}
		if s.Proof.Kind != secure.Newcomer || s.Register.Proof != secure.Text(want) || s.Register.Token != 0 {
			t.Errorf("%+v", s.Register)
		}
		s.Admit(7, 70)
		n := admitted(t, joined)
		if st := n.Status(); !st.Secure || st.Key != s.Proof.Key.String() || !st.AdmittedUntil.Equal(time.Now().Add(24*time.Hour).Truncate(time.Millisecond)) {
			t.Errorf("%+v", st)
		}
		s.Close()
		s = h.Next()
		if s.Proof.Kind != secure.Member || s.Proof.Admission.Incarnation != 70 || s.Register.Proof != "" || s.Register.Incarnation != 70 {
			t.Errorf("%+v, %+v", s.Proof, s.Register)
		}
		s.Refuse(control.CodeEvicted, "too long away")
		s = h.Next()
		if s.Proof.Kind != secure.Member || s.Register.Proof != "" || s.Register.Incarnation != 0 {
			t.Errorf("declared dead: %+v, %+v", s.Proof, s.Register)
		}
		s.Admit(7, 71)
		synctest.Wait()
		s.Close()
		if s = h.Next(); s.Proof.Admission.Incarnation != 71 || s.Register.Incarnation != 71 {
			t.Errorf("%+v, %+v", s.Proof, s.Register)
		}
	})
}

// An admission that has expired is not shown. The secret takes its place.
func TestExpiredNodeProvesItsSecret(t *testing.T) {
	log := ringtest.NewLog()
	inHand(t, func(t *testing.T, h *ringtest.HandRegistry, network *memnet.Network, joined <-chan outcome) {
		h.Validity = 24 * time.Minute
		s := h.Next()
		s.Admit(7, 70)
		n := admitted(t, joined)
		network.Cut("n", "registry")
		time.Sleep(17 * time.Minute)
		if text := log.Text(); strings.Contains(text, "admission") {
			t.Error(text)
		}
		time.Sleep(6 * time.Minute)
		log.WaitFor(t, "expires soon")
		time.Sleep(2 * time.Minute)
		log.WaitFor(t, "has expired")
		if text := log.Text(); strings.Count(text, "admission") != 2 {
			t.Error(text)
		}
		network.Mend("n", "registry")
		s = h.Next()
		if s.Proof.Kind != secure.Newcomer || s.Register.Proof == "" || s.Register.Incarnation != 0 || s.Register.ID != 7 || s.Proof.Key.String() != n.Status().Key {
			t.Errorf("%+v, %+v", s.Proof, s.Register)
		}
		if n.Incarnation() != 70 {
			t.Error("the incarnation has ended before there is another")
		}
		s.Admit(7, 71)
		synctest.Wait()
		if n.Incarnation() != 71 {
			t.Error(n.Incarnation())
		}
		if until := n.Status().AdmittedUntil; time.Until(until) < 23*time.Minute {
			t.Error(until)
		}
	}, log.Option())
}

// What is not good ends the connection, and the one before stays in force.
func TestNodeChecksWhatItIsGiven(t *testing.T) {
	other := ringtest.NewRingKey()
	later := func(a *secure.Admission) { a.Until = a.Until.Add(time.Hour) }
	for name, c := range map[string]struct {
		send func(s *ringtest.HandSession)
		good bool
	}{
		"a later admission": {func(s *ringtest.HandSession) { renew(s, s.Admission(7, 70, later)) }, true},
		"of another node":   {func(s *ringtest.HandSession) { renew(s, s.Admission(8, 70, later)) }, false},
		"of another inc":    {func(s *ringtest.HandSession) { renew(s, s.Admission(7, 71, later)) }, false},
		"of another key": {func(s *ringtest.HandSession) {
			renew(s, s.Admission(7, 70, later, func(a *secure.Admission) { a.Key[0]++ }))
		}, false},
		"of another ring": {func(s *ringtest.HandSession) {
			renew(s, s.Admission(7, 70, later, func(a *secure.Admission) { a.Ring++ }))
		}, false},
		"expired": {func(s *ringtest.HandSession) {
			renew(s, s.Admission(7, 70, func(a *secure.Admission) { a.Until = time.Now() }))
		}, false},
		"with another byte": {func(s *ringtest.HandSession) { renew(s, s.Admission(7, 70, later)[:210]+"AAAAA") }, false},
		"too short":         {func(s *ringtest.HandSession) { renew(s, "AAAA") }, false},
		"too long":          {func(s *ringtest.HandSession) { renew(s, strings.Repeat("A", 1<<16)) }, false},
		"no letters":        {func(s *ringtest.HandSession) { renew(s, "\x1b[2J") }, false},
		"trust":             {func(s *ringtest.HandSession) { s.Trust(secure.Key{1}, secure.Key{2}) }, true},
		"trust of nothing":  {func(s *ringtest.HandSession) { s.Send(control.TypeTrust, control.Trust{Ring: s.Ring()}) }, false},
		"trust of no key": {func(s *ringtest.HandSession) {
			s.Send(control.TypeTrust, control.Trust{Ring: s.Ring(), Keys: []string{"AAAA"}})
		}, false},
		"trust of many": {func(s *ringtest.HandSession) { s.Send(control.TypeTrust, trust(s.Ring(), secure.MaxKeys+1, 0)) }, false},
		"trust of the most": {func(s *ringtest.HandSession) {
			s.Send(control.TypeTrust, trust(s.Ring(), secure.MaxKeys, secure.MaxRevoked))
		}, true},
		"too much distrust":    {func(s *ringtest.HandSession) { s.Send(control.TypeTrust, trust(s.Ring(), 1, secure.MaxRevoked+1)) }, false},
		"another ring's trust": {func(s *ringtest.HandSession) { s.Send(control.TypeTrust, trust(other.Trust.Ring, 1, 0)) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			inHand(t, func(t *testing.T, h *ringtest.HandRegistry, _ *memnet.Network, joined <-chan outcome) {
				s := h.Next()
				s.Admit(7, 70)
				n := admitted(t, joined)
				synctest.Wait()
				gone := n.Disconnected()
				until := n.Status().AdmittedUntil
				c.send(s)
				synctest.Wait()
				select {
				case <-gone:
					if c.good {
						t.Error("the connection has ended: ", n.WaitConnected(context.Background()))
					}
				default:
					if !c.good {
						t.Error("accepted")
					}
				}
				if now := n.Status().AdmittedUntil; now.Equal(until) == (name == "a later admission") {
					t.Errorf("until %v, before until %v", now, until)
				}
			})
		})
	}
}

// renew sends an admission.
func renew(s *ringtest.HandSession, text string) {
	s.Send(control.TypeAdmission, control.Admission{Admission: text, Time: time.Now().UnixMilli()})
}

// trust makes a trust of so many keys.
func trust(ring uint64, keys, revoked int) control.Trust {
	t := control.Trust{Ring: ring, Time: time.Now().UnixMilli()}
	text := func(i int) string { return secure.Text(append(make([]byte, 30), byte(i>>8), byte(i))) }
	for i := range keys {
		t.Keys = append(t.Keys, text(i))
	}
	for i := range revoked {
		t.Revoked = append(t.Revoked, text(i))
	}
	return t
}

// A node does not join by an answer that has no good admission for it.
func TestNodeJoinsWithAnAdmissionOnly(t *testing.T) {
	for name, lie := range map[string]func(s *ringtest.HandSession, r *control.Registered){
		"none":           func(_ *ringtest.HandSession, r *control.Registered) { r.Admission = "" },
		"of another ID":  func(_ *ringtest.HandSession, r *control.Registered) { r.ID = 8 },
		"of another inc": func(_ *ringtest.HandSession, r *control.Registered) { r.Incarnation = 71 },
		"of another key": func(s *ringtest.HandSession, r *control.Registered) {
			r.Admission = s.Admission(7, 70, func(a *secure.Admission) { a.Key[0]++ })
		},
		"expired": func(_ *ringtest.HandSession, r *control.Registered) { r.Time += 25 * 3600_000 },
	} {
		t.Run(name, func(t *testing.T) {
			inHand(t, func(t *testing.T, h *ringtest.HandRegistry, _ *memnet.Network, joined <-chan outcome) {
				s := h.Next()
				s.Admit(7, 70, func(r *control.Registered) { lie(s, r) })
				if j := <-joined; j.err == nil || !strings.Contains(j.err.Error(), "admission") {
					t.Error(j.err)
				}
			})
		})
	}
}

// Credentials that are refused end a Join. A member keeps trying, since its messages flow.
func TestCredentialsThatAreRefused(t *testing.T) {
	inHand(t, func(t *testing.T, h *ringtest.HandRegistry, _ *memnet.Network, joined <-chan outcome) {
		h.Next().Refuse(control.CodeCredentials, "that token was used")
		if j := <-joined; !errors.Is(j.err, ringdht.ErrHandshake) || ringdht.Retryable(j.err) || !strings.Contains(j.err.Error(), "that token was used") {
			t.Error(j.err)
		}
	})
	inHand(t, func(t *testing.T, h *ringtest.HandRegistry, _ *memnet.Network, joined <-chan outcome) {
		s := h.Next()
		s.Admit(7, 70)
		n := admitted(t, joined)
		s.Close()
		h.Next().Refuse(control.CodeCredentials, "that token was used")
		h.Next().Refuse(control.CodeCredentials, "that token was used")
		h.Next()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := n.WaitConnected(ctx); !errors.Is(err, ringdht.ErrRegistryLost) || !strings.Contains(err.Error(), "that token was used") {
			t.Error(err)
		}
		if n.Incarnation() != 70 {
			t.Error("its incarnation has ended")
		}
	})
}

// A peer may hear of a new incarnation before the node does, and dial it. The node has no admission to
// show yet, so the handshake waits for it.
func TestPeerThatHearsFirst(t *testing.T) {
	inHand(t, func(t *testing.T, h *ringtest.HandRegistry, network *memnet.Network, joined <-chan outcome) {
		s := h.Next()
		linked := make(chan error, 1)
		dial := func(inc uint64) {
			cfg := *ringtest.DialConfig()
			cfg.Transport, cfg.Security = network.Host("peer"), h.Key.Member(9, 90)
			conn, _, _, err := cfg.Dial(t.Context(), s.Register.Addr, wire.Hello{Role: wire.RoleLink, From: 9, FromIncarnation: 90, To: 7, ToIncarnation: inc})
			if err == nil {
				conn.Close()
			}
			linked <- err
		}
		for inc := uint64(70); inc < 73; inc++ {
			go dial(inc)
			synctest.Wait()
			select {
			case err := <-linked:
				t.Fatal("it did not wait: ", err)
			default:
			}
			s.Admit(7, inc)
			if err := <-linked; err != nil {
				t.Error(err)
			}
			synctest.Wait()
			s.Refuse(control.CodeEvicted, "too long away")
			s = h.Next()
		}
		admitted(t, joined)
	})
}

// A node that waits for its admission closes at once.
func TestCloseWhileAPeerWaits(t *testing.T) {
	inHand(t, func(t *testing.T, h *ringtest.HandRegistry, network *memnet.Network, joined <-chan outcome) {
		s := h.Next()
		s.Admit(7, 70)
		n := admitted(t, joined)
		s.Refuse(control.CodeEvicted, "too long away")
		h.Next()
		cfg := *ringtest.DialConfig()
		cfg.Transport, cfg.Security = network.Host("peer"), h.Key.Member(9, 90)
		linked := make(chan error, 1)
		go func() {
			_, _, _, err := cfg.Dial(t.Context(), s.Register.Addr, wire.Hello{Role: wire.RoleLink, From: 9, FromIncarnation: 90, To: 7, ToIncarnation: 71})
			linked <- err
		}()
		synctest.Wait()
		began := time.Now()
		n.Close()
		if took := time.Since(began); took > time.Second {
			t.Error(took)
		}
		if err := <-linked; err == nil {
			t.Error("linked")
		}
	})
}

// Errors of Join never show the secret, in whichever way the line is wrong.
func TestErrorsDoNotShowTheSecret(t *testing.T) {
	line := ringtest.NewHandRegistry(t, memnet.New(1)).LineTo("127.0.0.1:1")
	secret := line[strings.LastIndex(line, "-")+1:]
	for _, l := range []string{line, line + "x", line[:len(line)-1], " " + line, line + "\n", "'" + line + "'", strings.ToUpper(line), strings.Replace(line, "rdht1", "rdht2", 1), strings.Replace(line, ":1/", "/", 1)} {
		n, err := ringtest.Join(t.Context(), l, nil)
		if err == nil {
			n.Close()
			t.Fatal("joined nothing")
		}
		if text := strings.ToLower(err.Error()); strings.Contains(text, secret[:8]) || strings.Contains(text, secret[8:16]) {
			t.Error(err)
		}
		_, err = ringtest.Join(t.Context(), l, nil, ringdht.WithListen("nonsense"))
		if text := strings.ToLower(err.Error()); strings.Contains(text, secret[:8]) {
			t.Error(err)
		}
	}
}

// The ring's key may change between a node's handshake and its admission, which it cannot check
// then. That is no refusal: a newcomer tries again, and a member keeps its incarnation.
func TestKeyChangesWhileTheNodeRegisters(t *testing.T) {
	inHand(t, func(t *testing.T, h *ringtest.HandRegistry, _ *memnet.Network, joined <-chan outcome) {
		first, next := h.Key, ringtest.NewRingKey()
		next.Trust.Ring = first.Trust.Ring
		admitBy := func(key *ringtest.RingKey, s *ringtest.HandSession) {
			h.Key = key
			s.Admit(7, 70)
			h.Key = first
		}
		admitBy(next, h.Next())
		s := h.Next()
		admitBy(first, s)
		admitted(t, joined)
		for range 3 {
			synctest.Wait()
			s.Close()
			admitBy(next, h.Next())
			if s = h.Next(); s.Proof.Kind != secure.Member || s.Register.Incarnation != 70 {
				t.Fatalf("the incarnation does not go on: %+v, %+v", s.Proof, s.Register)
			}
			admitBy(first, s)
		}
	}, ringdht.WithRetry())
}
