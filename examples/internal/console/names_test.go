package console

import (
	"strings"
	"testing"
)

func TestMatch(t *testing.T) {
	var commands []Command
	for _, c := range []string{"list-messaging-nodes list", "setup-overlay setup", "list-routing-tables route", "start", "summary",
		"list-nodes nodes", "list-degraded-pairs degraded", "list", "wait", "watch", "events", "help", "exit-overlay exit"} {
		name, short, _ := strings.Cut(c, " ")
		commands = append(commands, Command{Name: name, Short: short, Ends: name == "exit-overlay"})
	}
	commands[len(commands)-1].Also = []string{"quit"}
	for _, c := range []struct{ typed, want string }{
		{"list", "list-messaging-nodes"}, // an exact short name comes before a prefix
		{"list-messaging-nodes", "list-messaging-nodes"},
		{"list-m", "list-messaging-nodes"},
		{"l-m-n", "list-messaging-nodes"},
		{"l-n", "list-nodes"},
		{"no", "list-nodes"},
		{"li-r", "list-routing-tables"},
		{"ro", "list-routing-tables"},
		{"l-d-", "list-degraded-pairs"},
		{"set", "setup-overlay"},
		{"st", "start"},
		{"wai", "wait"},
		{"ex", "exit-overlay"},
		{"e-o", "exit-overlay"},
		{"exit", "exit-overlay"},
		{"quit", "exit-overlay"},
		{"qu", "exit-overlay"},
		{"e", "events"}, // one letter never ends a program

		{"q", `unknown command "q": type exit-overlay to end the program`},
		{"x", `unknown command "x": type help for the list`},
		{"lst", `unknown command "lst": did you mean list-messaging-nodes or list? (help lists them all)`},
		{"hlp", `unknown command "hlp": did you mean help? (help lists them all)`},
		{"exti", `unknown command "exti": did you mean exit-overlay? (help lists them all)`},
		{"qit", `unknown command "qit": did you mean exit-overlay? (help lists them all)`},

		{"s", `"s" is ambiguous: it can be setup-overlay, start or summary`},
		{"wa", `"wa" is ambiguous: it can be wait or watch`},
		{"strat", `unknown command "strat": did you mean start? (help lists them all)`},
		{"START", `unknown command "START": did you mean start? (help lists them all)`},
		{"startt", `unknown command "startt": did you mean start? (help lists them all)`},
		{"stup", `unknown command "stup": did you mean setup-overlay? (help lists them all)`},
		{"list-mesaging-nodes", `unknown command "list-mesaging-nodes": did you mean list-messaging-nodes? (help lists them all)`},
		{"list-ruoting", `unknown command "list-ruoting": did you mean list-routing-tables? (help lists them all)`},
		{"watt", `unknown command "watt": did you mean wait? (help lists them all)`},
		{"start-5", `unknown command "start-5": did you mean start? (help lists them all)`},
		{"foo", `unknown command "foo": type help for the list`},
		{"hello there", `unknown command "hello there": type help for the list`},
		{"list-messaging-nodes-all", `unknown command "list-messaging-nodes-all": did you mean list-messaging-nodes? (help lists them all)`},
	} {
		i, err := match(c.typed, commands)
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = commands[i].Name
		}
		if got != c.want {
			t.Errorf("%q: %s\nwant %s", c.typed, got, c.want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"start", "start", 0}, {"strat", "start", 1}, {"satrt", "start", 1},
		{"tart", "start", 1}, {"sttart", "start", 1}, {"stort", "start", 1}, {"kitten", "sitting", 3}, {"ca", "abc", 3}, {"äö", "öä", 1},
	} {
		if got := distance(c.a, c.b); got != c.want || distance(c.b, c.a) != got {
			t.Errorf("%s to %s: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

// A command of the other program is not taken for a mistyped one of this program, which may end it.
func TestElsewhere(t *testing.T) {
	c := &Console{
		Commands:  []Command{{Name: "send"}, {Name: "exit-overlay", Ends: true}},
		Elsewhere: Elsewhere{"the registry", []string{"setup-overlay", "start"}},
	}
	for _, typed := range []string{"setup-overlay", "setup", "s-o", "set-o"} {
		_, err := c.find(typed)
		if err == nil || err.Error() != "setup-overlay is a command of the registry: type it there (help lists the commands of this program)" {
			t.Errorf("%s: %v", typed, err)
		}
	}
	for typed, want := range map[string]string{
		"exti-overlay": `unknown command "exti-overlay": did you mean exit-overlay? (help lists them all)`,
		"t":            `unknown command "t": type help for the list`,
	} {
		if _, err := c.find(typed); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", typed, err, want)
		}
	}
	if cmd, err := c.find("s"); err != nil || cmd.Name != "send" {
		t.Errorf("s means %q, %v: a command of this program goes first", cmd.Name, err)
	}
}
