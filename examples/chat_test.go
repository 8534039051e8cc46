package examples_test

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// chatter starts a process of chat.
func chatter(t *testing.T, binary, name, at string) *process {
	t.Helper()
	return start(t, name, binary, "-name", name, at)
}

// expectAll reads lines until each pattern has matched one, in any order.
func (p *process) expectAll(patterns ...string) (lines []string) {
	p.t.Helper()
	for timeout := time.After(2 * time.Minute); len(patterns) > 0; {
		select {
		case line, ok := <-p.lines:
			if !ok {
				p.t.Fatalf("%s ended before it printed %q; it printed\n%s", p.name, patterns, strings.Join(lines, "\n"))
			}
			lines = append(lines, line)
			if i := slices.IndexFunc(patterns, func(p string) bool { return regexp.MustCompile(p).MatchString(line) }); i >= 0 {
				patterns = slices.Delete(patterns, i, i+1)
			}
		case <-timeout:
			p.t.Fatalf("%s did not print %q; it printed\n%s", p.name, patterns, strings.Join(lines, "\n"))
		}
	}
	return lines
}

// said is what a process prints of a line of another.
func said(name, text string) string {
	return `^\d\d:\d\d ` + name + `: ` + text + `$`
}

// A room of three processes: all that each says arrives in its order, once. One is killed, one
// joins later, and the others leave in each of the three ways.
func TestChatProgram(t *testing.T) {
	t.Parallel()
	binary, bin := buildSmall(t, "chat"), build(t)
	registry := start(t, "registry", filepath.Join(bin, "registry"), "127.0.0.1:0")
	_, groups := registry.expect(`listening on (127\.0\.0\.1:\d+)`)
	addr := groups[1]
	names := []string{"ann", "bob", "carl"}
	chats := make(map[string]*process)
	for _, name := range names {
		chats[name] = chatter(t, binary, name, addr)
		chats[name].expect(`^\* waiting: `)
	}
	registry.enter("setup-overlay")
	for _, name := range names {
		chats[name].expect(`^\* you are in the room lobby$`)
	}
	const each = 50
	for _, name := range names {
		go func() {
			for i := range each {
				fmt.Fprintf(chats[name].stdin, "%d of %s\n", i, name)
			}
		}()
	}
	for _, name := range names {
		var ends []string
		for _, other := range names {
			if other != name {
				ends = append(ends, said(other, fmt.Sprint(each-1, " of ", other)))
			}
		}
		lines := chats[name].expectAll(ends...)
		for _, other := range names {
			var want, got []string
			for i := range each {
				want = append(want, fmt.Sprint(other, ": ", i, " of ", other))
			}
			if other == name {
				want = nil // its own lines are on its terminal already
			}
			for _, line := range lines {
				if strings.Contains(line, " "+other+": ") {
					got = append(got, line[len("15:04 "):])
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s has from %s\n%s", name, other, strings.Join(got, "\n"))
			}
		}
	}

	ann, bob, carl := chats["ann"], chats["bob"], chats["carl"]
	bob.cmd.Process.Kill()
	ann.expect(`^\* bob died$`)
	carl.expect(`^\* bob died$`)
	ann.enter("bob was here")
	carl.expect(said("ann", "bob was here"))

	dora := chatter(t, binary, "dora", addr)
	lines := dora.expectAll(said("ann", "bob was here"), `^\* ann is here$`, `^\* carl is here$`, `^\* you are dora, node \d+$`)
	if n := len(slices.DeleteFunc(lines, func(line string) bool { return strings.HasPrefix(line, "* ") })); n != 1 {
		t.Errorf("dora has %d lines of before she came: %q", n, lines)
	}
	carl.enter("hello, dora")
	dora.expect(said("carl", "hello, dora"))
	ann.expectAll(`^\* dora joined$`, said("carl", "hello, dora"))

	// Another room: ann stays in the lobby.
	for _, p := range []*process{carl, dora} {
		p.enter("/room tea")
		p.expect(`^\* you are in the room tea$`)
	}
	carl.enter("milk?")
	dora.expect(said("carl", `milk\?`))
	ann.enter("quiet here")
	dora.enter("/who")
	dora.expect(`^\* here: ann, carl, dora$`)
	dora.enter("/room lobby")
	dora.expect(said("ann", "quiet here")) // the latest line there
	dora.enter("bye")
	dora.enter("/quit") // all have what she said
	dora.exits()
	for _, line := range ann.expectAll(said("dora", "bye"), `^\* dora left$`) {
		if strings.Contains(line, "milk") {
			t.Errorf("ann is not in the room tea: %s", line)
		}
	}

	if lines, _ := carl.expect(`^\* dora left$`); strings.Contains(strings.Join(lines, "\n"), "quiet") {
		t.Errorf("carl has left the lobby: %q", lines)
	}
	carl.cmd.Process.Signal(syscall.SIGTERM)
	carl.exits()
	ann.expect(`^\* carl left$`)
	ann.stdin.Close()
	ann.exits()
	registry.enter("list-nodes")
	registry.expect(`^No nodes`)
}

// A chat in a secure ring, which a process without the line and one with a taken name cannot join.
func TestChatProgramInASecureRing(t *testing.T) {
	t.Parallel()
	binary, bin := buildSmall(t, "chat"), build(t)
	registry := start(t, "registry", filepath.Join(bin, "registry"), "-secure", "127.0.0.1:0")
	lines, groups := registry.expect(`(rdht1:\S+)`)
	at := groups[1]
	ann := chatter(t, binary, "ann", at)
	ann.expect(`^\* waiting: `)
	registry.enter("setup-overlay")
	ann.expect(`^\* you are in the room lobby$`)
	bob := chatter(t, binary, "bob", at)
	bob.expect(`^\* you are in the room lobby$`)
	bob.enter("psst \x1b[2J") // which would clear ann's screen
	ann.expect(said("bob", `psst ·\[2J`))

	listens := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(strings.Join(lines, " "))
	for _, at := range []string{listens, at} { // carl has no line, and there is an ann
		name := map[bool]string{true: "carl", false: "ann"}[at == listens]
		p := chatter(t, binary, name, at)
		for line := range p.lines {
			t.Errorf("%s at %s: %s", name, at, line)
		}
		if p.cmd.Wait(); p.cmd.ProcessState.ExitCode() != 1 {
			t.Errorf("%s at %s: %v", name, at, p.cmd.ProcessState)
		}
	}
}

// A line that is too long ends the chat, which says why.
func TestChatProgramLongLine(t *testing.T) {
	t.Parallel()
	binary, bin := buildSmall(t, "chat"), build(t)
	registry := start(t, "registry", filepath.Join(bin, "registry"), "-setup", "auto", "127.0.0.1:0")
	_, groups := registry.expect(`listening on (127\.0\.0\.1:\d+)`)
	ann := chatter(t, binary, "ann", groups[1])
	ann.expect(`^\* you are in the room lobby$`)
	fmt.Fprintln(ann.stdin, strings.Repeat("x", 70_000)) // it may be gone before all is written
	ann.expect(`^\* the input cannot be read any further: .*too long$`)
	ann.exits()
}
