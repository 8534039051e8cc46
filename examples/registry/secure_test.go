package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/x/ringdht"
)

// A session in a secure ring: the line that is printed joins, and the commands do what they say.
func TestSecureRing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p, addr := start(t, "-secure", "-state", dir)
	line := p.Expect(`^Join with: .*messenger (rdht1:localhost:\d+/[a-z2-7]{26}-[a-z2-7]{29})$`)[1]
	if err := ringdht.NewNode().Join(t.Context(), addr); !errors.Is(err, ringdht.ErrHandshake) || !strings.Contains(err.Error(), "join line") {
		t.Errorf("a node without the line: %v", err)
	}
	nodes := join(t, line, 4)
	p.Type("wait 4", "setup", "start 1000")
	p.Expect(`^Verdict: exact$`)

	p.Type("show-node " + nodes[0].ID().String())
	p.Expect(`^  admitted +by token 1, for (24 h|23 h.*) more unless it is renewed, key [0-9a-f]+$`)

	p.Type("token new -once -for 10m -id 77")
	once := p.Expect(`^Token 2\. Join with: \S.* (rdht1:\S+)$`)[1]
	for range 2 {
		p.Type("token show 2")
		if again := p.Expect(`^Join with: \S.* (rdht1:\S+)$`)[1]; again != once {
			t.Errorf("%s, and shown again %s", once, again)
		}
	}
	if n := join(t, once, 1)[0]; n.ID() != 77 {
		t.Errorf("the token for node 77 has joined node %d", n.ID())
	}
	if err := ringdht.NewNode().Join(t.Context(), once); !errors.Is(err, ringdht.ErrHandshake) {
		t.Errorf("a spent token: %v", err)
	}
	p.Type("token list")
	p.Expect(`^    2  used   node 77 once +1 `)

	p.Type("expel " + nodes[0].ID().String())
	next := p.Expect(`^Node \d+ is expelled\. The token by which it joined has ended\. Join with: \S.* (rdht1:\S+)$`)[1]
	<-nodes[0].Disconnected()
	if err := nodes[0].WaitConnected(t.Context()); !errors.Is(err, ringdht.ErrNotMember) {
		t.Errorf("the expelled node: %v", err)
	}
	for _, ended := range []string{line, once} {
		if err := ringdht.NewNode().Join(t.Context(), ended); !errors.Is(err, ringdht.ErrHandshake) || ringdht.Retryable(err) {
			t.Errorf("an ended token: %v", err)
		}
	}
	p.Type("rotate-key")
	p.Expect(`^The ring has a new key, .* Join with: \S.* (rdht1:\S+)$`)
	join(t, next, 1) // the old pin is good for a while
	p.Type("token rotate")
	p.Expect(`^All tokens have ended\. Join with: \S.* (rdht1:\S+)$`)
	p.Type("refused", "start 100")
	p.Expect(`^(127\.0\.0\.1|::1) +no TLS +1 `)
	p.Expect(`^Verdict: exact$`)
	for _, wrong := range []string{"token", "token new -for", "token new -for x", "token new -id x", "token new -x 1", "token list x", "token show x", "token show 99", "expel 1"} {
		p.Type(wrong)
		p.ExpectError(`^(token|expel|making a join line|no node)`)
	}
	if text := p.Stderr(); strings.Contains(text, "rdht1:") {
		t.Errorf("the log has a join line: %s", text)
	}
}

// An open ring says so where processes on other machines may reach it, and has no commands for
// tokens.
func TestOpenRing(t *testing.T) {
	t.Parallel()
	p, _ := start(t)
	p.Type("token list")
	p.ExpectError(`^unknown command`)
	if strings.Contains(p.Stdout(), openText) {
		t.Error("a registry on loopback warns")
	}
}
