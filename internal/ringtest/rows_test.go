package ringtest_test

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/internal/wire"
	"github.com/x/ringdht/status"
)

// ground is a ring over TCP for the rows of docs/attacks.md that need no virtual time. All rows of one
// kind of ring share it.
type ground struct {
	*ringtest.Ring
	log *ringtest.Log
}

// strangersTime is how long the registry waits for a handshake. Members, too, must join within it, on a
// busy machine.
const strangersTime = 5 * time.Second

var rows = []struct {
	row, name string
	before    string // what it did, once
	does      func(g *ground, t *testing.T)
}{
	{"B1", "a newcomer at a member's address", "the member is dead after 3 ms", (*ground).takesAddress},
	{"B3", "links with guessed incarnations", "the exact one in 15 s", (*ground).guesses},
	{"D4", "200 links in a member's name, by strangers and by itself", "kept for ever", (*ground).holdsLinks},
	{"D8", "a member's address in other spellings", "one address in 11 spellings: the ring is full", (*ground).spells},
	{"E4", "a Register with another's address", "the registry reports what it finds there", (*ground).looksThrough},
	{"E5", "Registers that are refused, and connects", "71 MB of log in 5 s", (*ground).fillsLog},
	{"E6", "300 idle connections to the page", "a page waits 60 s", (*ground).fillsPage},
	{"E7", "a member's frame for a reserved port, and hostile texts", "shown raw; handed to the handler", (*ground).sendsTexts},
}

// Each row is tried in an open ring and in a secure one. After each the members are the same ones, a run
// is exact, and memory, goroutines and descriptors are as before.
func TestRows(t *testing.T) {
	ringtest.OpenOnly(t, "both kinds of rings are tried")
	for _, safe := range []bool{false, true} {
		t.Run(fmt.Sprint("secure ", safe), func(t *testing.T) {
			start := ringtest.New
			if safe {
				start = ringtest.NewSecure
			}
			g := &ground{log: ringtest.NewLog()}
			g.Ring = start(t, nil, g.log.Option(), ringdht.WithHandshakeTimeout(strangersTime))
			for i := range ringdht.ID(4) {
				// All link at once. No row waits for a member's handshake to end, so their time may be long.
				g.Join(nil, ringdht.WithTraffic(), ringdht.WithID(10*(i+1)), ringdht.WithHandshakeTimeout(time.Minute))
			}
			g.Setup(0)
			g.Run(status.Traffic{Messages: 200})
			members, before, files := fmt.Sprint(g.Registry.Members()), inUse(), filesOpen()
			for _, r := range rows {
				t.Run(r.row+" "+r.name, func(t *testing.T) {
					g.T = t // what the row opens ends with it
					r.does(g, t)
				})
				g.T = t
				g.WaitSettled()
				g.Run(status.Traffic{Messages: 200})
				if now := fmt.Sprint(g.Registry.Members()); now != members {
					t.Fatalf("%s: the members are %s, and were %s", r.row, now, members)
				}
				ringtest.WaitUntil(t, r.row+": what the attack took is given back", func() bool {
					now := inUse()
					return now.goroutines <= before.goroutines && filesOpen() <= files && (ringtest.RaceEnabled || now.heap <= before.heap+2<<20)
				})
			}
		})
	}
}

// register sends a Register as a stranger, and returns the reason of the refusal and how long it took.
func (g *ground) register(t *testing.T, r control.Register) (why string, took time.Duration) {
	t.Helper()
	start := time.Now()
	var refused *control.Refused
	if g.Secure {
		in := g.Insider("127.0.0.1")
		defer in.Close()
		var err error
		if refused, err = in.Register(func(mine *control.Register) { *mine = r }); err != nil {
			t.Error(err)
		}
	} else {
		m := g.DialRaw(t)
		defer m.Free()
		defer m.Close()
		refused = m.Ask(control.TypeRegister, r)
	}
	if refused == nil {
		t.Errorf("%q was admitted", r.Addr)
		return "", 0
	}
	return strings.ReplaceAll(refused.Reason, r.Addr, "ADDR"), time.Since(start)
}

func (g *ground) takesAddress(t *testing.T) {
	life := g.Nodes[0].Incarnation()
	for token := range uint64(10) {
		g.register(t, control.Register{Addr: g.Nodes[0].Peer().Addr, Token: token})
	}
	if g.Nodes[0].Incarnation() != life || g.Nodes[0].ReadyNow() != nil {
		t.Error("the member was thrown out")
	}
}

// A stranger with a key of its own, if it needs one, dials with each guess.
func (g *ground) guesses(t *testing.T) {
	c := ringtest.DialConfig()
	if g.Secure {
		in := g.Insider("127.0.0.1")
		defer in.Close()
		if _, err := in.Dial(); err != nil {
			t.Fatal(err)
		}
		c = in.Config
	}
	to := ringtest.RefOf(g.Nodes[0])
	told := make(map[string]bool)
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, guess := range []uint64{to.Incarnation - 1, to.Incarnation + 1, 0, 1<<64 - 1} {
		all.Go(func() {
			_, a, _, err := c.Dial(g.Ctx(), g.Nodes[0].Peer().Addr, wire.Hello{Role: wire.RoleLink, From: 7, FromIncarnation: 1, To: to.ID, ToIncarnation: guess})
			if err == nil {
				t.Errorf("incarnation %d is accepted", guess)
			}
			mu.Lock()
			defer mu.Unlock()
			told[fmt.Sprint(a.Status, a.Reason)] = true
		})
	}
	all.Wait()
	if len(told) != 1 {
		t.Errorf("the refusals tell the difference: %v", told)
	}
}

// Of a member's links two are kept. In a secure ring none in its name is a stranger's.
func (g *ground) holdsLinks(t *testing.T) {
	victim, member := g.Nodes[0], ringtest.RefOf(g.Nodes[1])
	if g.Secure {
		in := g.Insider("127.0.0.1")
		defer in.Close()
		if _, err := in.Dial(); err != nil {
			t.Fatal(err)
		}
		if _, err := in.Link(victim.Peer().Addr, linkTo(victim, member.ID, member.Incarnation)); err == nil {
			t.Error("a stranger has a link")
		}
	}
	shed := victim.Status().Counters.LinksShed
	var held []net.Conn
	for range 200 {
		if conn := g.TryLink(victim, member); conn != nil {
			held = append(held, conn)
		}
	}
	ringtest.WaitUntil(t, "all but two links to be closed", func() bool {
		return victim.Status().Counters.LinksShed-shed >= int64(len(held)-2)
	})
	if len(held) != 200 {
		t.Errorf("%d links were accepted", len(held))
	}
	for _, conn := range held {
		conn.Close()
	}
}

// In an open ring the refusal knows the address again. In a secure one a stranger has no proof.
func (g *ground) spells(t *testing.T) {
	_, port, err := net.SplitHostPort(g.Nodes[0].Peer().Addr)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "::ffff:127.0.0.1", "::ffff:7f00:1", "0:0:0:0:0:ffff:127.0.0.1"} {
		why, _ := g.register(t, control.Register{Addr: net.JoinHostPort(host, port), Token: 1})
		if !g.Secure && !strings.Contains(why, "is registered already") {
			t.Errorf("as %s: %s", host, why)
		}
	}
}

// In an open ring the answer is the same for both addresses. In a secure ring nothing is dialled.
func (g *ground) looksThrough(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.2:0") // elsewhere than the stranger
	if err != nil {
		t.Skip("no second loopback address: ", err)
	}
	dialled := make(chan struct{}, 100)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			dialled <- struct{}{}
			c.Write([]byte("220 secret.example ESMTP ready"))
			c.Close()
		}
	}()
	texts := make(map[string]bool)
	var mu sync.Mutex
	var all sync.WaitGroup // at the same time: each takes the time of a handshake
	for _, addr := range []string{l.Addr().String(), "127.0.0.2:1"} {
		all.Go(func() {
			text, took := g.register(t, control.Register{Addr: addr, Other: true, Token: 1})
			mu.Lock()
			defer mu.Unlock()
			texts[text] = true
			if !g.Secure && took < strangersTime {
				t.Errorf("%s: refused after %v", addr, took)
			}
		})
	}
	all.Wait()
	l.Close()
	if len(texts) != 1 {
		t.Errorf("the refusals tell the difference: %v", texts)
	}
	if n := len(dialled); g.Secure && n > 0 || !g.Secure && n == 0 {
		t.Errorf("dialled %d times", n)
	}
}

func (g *ground) fillsLog(t *testing.T) {
	before := len(g.log.Text())
	for i := range 60 {
		g.register(t, control.Register{Addr: fmt.Sprintf("10.0.0.%d:7", i+1)})
		c, err := net.Dial("tcp", g.Addr)
		if err != nil {
			t.Fatal(err)
		}
		c.Write([]byte("nonsense, which is no handshake of any kind"))
		c.Close()
	}
	if n := len(g.log.Text()) - before; n > 5000 { // of 120 attacks
		t.Errorf("%d bytes of log", n)
	}
}

func (g *ground) fillsPage(t *testing.T) {
	page := servePage(t, g.Ring)
	for range 300 {
		conn, err := net.Dial("tcp", page)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	for _, path := range []string{"/", "/healthz"} {
		start := time.Now()
		if err := get("http://" + page + path); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		ringtest.CheckElapsed(t, path, start, 55*time.Second) // once, it waited 60
	}
	http.DefaultClient.CloseIdleConnections()
}

func (g *ground) sendsTexts(t *testing.T) {
	victim, member := g.Nodes[0], ringtest.RefOf(g.Nodes[1])
	link := g.Link(t, victim, member)
	malformed := victim.Status().Counters.Dropped.Malformed
	link.Write(cast(uint64(victim.ID()), member.ID, 77))
	ringtest.WaitUntil(t, "the frame to be dropped", func() bool { return victim.Status().Counters.Dropped.Malformed == malformed+1 })
	link.Close()
	n, _ := g.JoinLiar(ringdht.WithID(25))
	g.WaitSettled()
	ringtest.NodeOf(n).Tell(control.TypeTrouble, control.Trouble{ID: 10, Incarnation: g.Nodes[0].Incarnation(), Error: hostile})
	ringtest.WaitUntil(t, "the trouble to be shown", func() bool {
		return strings.Contains(fmt.Sprint(g.Registry.Degraded()), "owned") || strings.Contains(g.log.Text(), "owned")
	})
	checkShown(t, "the degraded pairs", fmt.Sprintf("%+v", g.Registry.Degraded()))
	g.Remove(n)
	n.Close()
	g.WaitGone(25)
	g.WaitSettled()
	if why, _ := g.register(t, control.Register{Addr: "[fe80::1%<img onerror=alert(1)>]:80", Other: true}); strings.Contains(why, "<img") && !strings.Contains(why, `"`) {
		t.Errorf("the refusal shows markup: %s", why)
	}
}
