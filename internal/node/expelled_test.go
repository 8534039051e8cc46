package node_test

import (
	"context"
	"errors"
	"os"
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

// An expelled node does not come back, and says so in all that it returns.
func TestExpelledIsFinal(t *testing.T) {
	for name, expel := range map[string]func(t *testing.T, h *ringtest.HandRegistry, s *ringtest.HandSession){
		"refused": func(_ *testing.T, _ *ringtest.HandRegistry, s *ringtest.HandSession) {
			s.Refuse(control.CodeExpelled, "by the operator")
		},
		"revoked": func(_ *testing.T, _ *ringtest.HandRegistry, s *ringtest.HandSession) { s.Trust(s.Proof.Key) },
		"refused when it comes back": func(_ *testing.T, h *ringtest.HandRegistry, s *ringtest.HandSession) {
			s.Close()
			h.Next().Refuse(control.CodeExpelled, "by the operator")
		},
		"refused in the handshake": func(_ *testing.T, h *ringtest.HandRegistry, s *ringtest.HandSession) {
			h.Revoke(s.Proof.Key)
			s.Close()
		},
		"refused as a new incarnation": func(_ *testing.T, h *ringtest.HandRegistry, s *ringtest.HandSession) {
			s.Refuse(control.CodeEvicted, "too long away")
			h.Next().Refuse(control.CodeExpelled, "by the operator")
		},
	} {
		t.Run(name, func(t *testing.T) {
			log := ringtest.NewLog()
			inHand(t, func(t *testing.T, h *ringtest.HandRegistry, _ *memnet.Network, joined <-chan outcome) {
				s := h.Next()
				s.Admit(7, 70)
				n := admitted(t, joined)
				s.Send(control.TypeManifest, control.Manifest{Epoch: 1, Incarnation: 70, Others: []uint64{9}, Incs: []uint64{90}})
				ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
				defer cancel()
				waits := make(chan error)
				go func() { waits <- n.Ready(ctx) }()
				events := make(chan int)
				go func() {
					count := 0
					for e := range n.Watch(ctx) {
						if e.Self {
							count++
						}
					}
					events <- count
				}()
				synctest.Wait()
				expel(t, h, s)
				failed := map[string]error{"Ready": <-waits}
				if count := <-events; count != 2 {
					t.Errorf("Watch told %d events of the node itself", count)
				}
				synctest.Wait() // Ready and Watch know it a moment before the node's streams have ended
				failed["ReadyNow"] = n.ReadyNow()
				failed["WaitConnected"] = n.WaitConnected(ctx)
				failed["Send"] = n.Send(ctx, 9, []byte("x"))
				failed["Flush"] = n.Flush(ctx)
				_, failed["Trace"] = n.Trace(ctx, 9)
				failed["Leave"] = n.Leave(ctx)
				for what, err := range failed {
					if !errors.Is(err, ringdht.ErrNotMember) || !strings.Contains(err.Error(), "expelled") || ringdht.Retryable(err) {
						t.Errorf("%s: %v", what, err)
					}
				}
				time.Sleep(time.Hour)
				h.Quiet()
				if got := strings.Count(log.Text(), "was expelled from the ring, and does not"); got != 1 {
					t.Errorf("logged %d times:\n%s", got, log.Text())
				}
			}, log.Option())
		})
	}
}

// Links in both directions end when the peer is expelled, and it gets no other.
func TestLinksToTheExpelledEnd(t *testing.T) {
	inHand(t, func(t *testing.T, h *ringtest.HandRegistry, network *memnet.Network, joined <-chan outcome) {
		s := h.Next()
		s.Admit(7, 70)
		n := admitted(t, joined)
		synctest.Wait()
		cfg := *ringtest.DialConfig()
		cfg.Transport = network.Host("peer")
		hello := wire.Hello{Role: wire.RoleLink, From: 9, FromIncarnation: 90, To: 7, ToIncarnation: 70}
		peer := h.Key.Member(9, 90)
		cfg.Security = peer
		conn, _, _, err := cfg.Dial(t.Context(), n.Peer().Addr, hello)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		stays := h.Key.Member(5, 50)
		cfg.Security = stays
		other, _, _, err := cfg.Dial(t.Context(), n.Peer().Addr, wire.Hello{Role: wire.RoleLink, From: 5, FromIncarnation: 50, To: 7, ToIncarnation: 70})
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		synctest.Wait()
		s.Trust(peer.Public())
		conn.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error("the link to the expelled node has not ended: ", err)
		}
		cfg.Security = peer
		if _, _, _, err := cfg.Dial(t.Context(), n.Peer().Addr, hello); !errors.Is(err, secure.ErrRevoked) {
			t.Error(err)
		}
		other.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := other.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error("another link has ended: ", err)
		}
	})
}
