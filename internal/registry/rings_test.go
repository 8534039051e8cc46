package registry_test

import (
	"strings"
	"testing"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
)

// A registry refuses a member of another ring and a text that is no identity, and tells a newcomer
// its own.
func TestIdentityOfARegister(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	tr.Join(nil)
	ask := func(inc uint64, ring string, epoch uint64) (r control.Refused) {
		t.Helper()
		c := tr.DialRaw(t)
		defer c.Close()
		c.Send(control.TypeRegister, control.Register{Addr: "raw:5", Other: true, ID: 5, Incarnation: inc, Identity: ring, Epoch: epoch})
		ty, body, err := c.Recv()
		if err == nil && ty == control.TypeRefused {
			err = c.Decode(body, &r)
		}
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	other := strings.Repeat("0f", 16)
	tr.Setup(0)
	own := tr.Registry.Snapshot().Identity
	for _, c := range []struct {
		ring string
		code control.Code
		says []string
	}{
		{"nonsense", control.CodeProtocol, []string{"not the identity"}},
		{strings.Repeat("0F", 16), control.CodeProtocol, []string{"not the identity"}},
		{strings.Repeat("0", 3500), control.CodeProtocol, []string{"not the identity"}},
		{other, control.CodeOtherRing, []string{other[:8], own[:8]}},
		{own, control.CodeEvicted, nil},
		{"", control.CodeEvicted, nil},
	} {
		r := ask(7, c.ring, 3)
		if r.Code != c.code || len(r.Reason) > 500 {
			t.Errorf("%.40q: code %d, %.200s", c.ring, r.Code, r.Reason)
		}
		for _, text := range c.says {
			if !strings.Contains(r.Reason, text) {
				t.Errorf("%.40q: %s, want %s", c.ring, r.Reason, text)
			}
		}
	}
	if s := tr.Registry.Snapshot(); s.Identity != own || len(s.Members) != 1 || len(s.OtherRings) != 1 || s.OtherRings[0].Identity != other {
		t.Errorf("ring %s, %d members, others %+v", s.Identity, len(s.Members), s.OtherRings)
	}
	if n := tr.Join(nil, ringdht.WithTraffic()); n.Ready(tr.Ctx()) != nil || n.Status().Identity != own {
		t.Error(n.Status().Identity)
	}
}
