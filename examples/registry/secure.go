package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/examples/internal/console"
	"github.com/x/ringdht/examples/internal/report"
	"github.com/x/ringdht/status"
)

// security returns the commands of a secure ring. An open one has none of them.
func (o *operator) security() []console.Command {
	if o.join == nil {
		return nil
	}
	return []console.Command{
		{Name: "token", Args: "new [-once] [-for time] [-id n] | list | show n | rotate", Max: 6, Beside: true, Run: o.token,
			Help: "makes, lists and ends the tokens that join lines have",
			More: "A token lets nodes join. New makes one: -once for a single node, -for 10m to end after ten minutes, -id n for " +
				"the node with that ID. It prints the command that joins with it, and show n prints it again. Rotate ends all tokens " +
				"and makes a new shared one. Nodes that have joined stay, and come back without a token.",
			Examples: []string{"token new -once -for 10m", "token list", "token rotate"}},
		{Name: "expel", Args: "node", Min: 1, Max: 1, Beside: true, Run: o.expel,
			Help: "removes a node for good",
			More: "Its links are closed at once, and its key opens no new one. The token by which it joined ends too, since the node " +
				"knows it. Other nodes that joined by it stay.",
			Examples: []string{"expel {a}"}},
		{Name: "rotate-key", Beside: true, Run: o.rotateKey,
			Help: "gives the ring a new key, signed by the old one",
			More: "Nodes take it over while they run. Join lines change. The old key counts until all nodes have admissions by the new " +
				"one, or until theirs have expired.",
			Examples: []string{"rotate-key"}},
		{Name: "list-refused", Short: "refused", Beside: true, Run: o.refused,
			Help:     "lists where connections came from that were refused, and why",
			More:     "Each row is a source and a reason, with the number of times.",
			Examples: []string{"list-refused", "refused -json"}},
	}
}

// tokenDocument is a token with the command that joins by it.
type tokenDocument struct {
	status.Token
	Join string `json:"join"`
}

func (o *operator) token(ctx context.Context, c *console.Call) error {
	if len(c.Args) == 0 {
		return console.Usagef("expected new, list, show n or rotate")
	}
	name, args := c.Args[0], c.Args[1:]
	switch {
	case name == "new":
		return o.newToken(ctx, c, args)
	case name == "list" && len(args) == 0:
		tokens := append([]status.Token{}, o.registry.Tokens()...)
		o.show(c, tokens, report.Tokens(tokens, time.Now(), c.Screen.Columns()))
		return nil
	case name == "show" && len(args) == 1:
		n, err := strconv.ParseUint(args[0], 10, 32)
		if err != nil {
			return console.Usagef("expected the number of a token, not %q: token list has them", args[0])
		}
		line, err := o.join(uint32(n))
		if err == nil {
			o.tell(c, struct {
				Join string `json:"join"`
			}{line}, joinText(line))
		}
		return err
	case name == "rotate" && len(args) == 0:
		if err := o.registry.RotateTokens(ctx); err != nil {
			return err
		}
		line, err := o.join()
		if err == nil {
			o.tell(c, struct {
				Join string `json:"join"`
			}{line}, "All tokens have ended. "+joinText(line))
		}
		return err
	}
	return console.Usagef("expected new, list, show n or rotate")
}

// newToken makes a token by the flags of token new.
func (o *operator) newToken(ctx context.Context, c *console.Call, args []string) error {
	var terms status.TokenTerms
	for len(args) > 0 {
		flag := args[0]
		args = args[1:]
		if flag == "-once" {
			terms.Once = true
			continue
		}
		if len(args) == 0 {
			return console.Usagef("expected -once, -for and a time, or -id and an ID, not %q", flag)
		}
		value := args[0]
		args = args[1:]
		switch flag {
		case "-for":
			d, err := time.ParseDuration(value)
			if err != nil || d <= 0 {
				return console.Usagef("-for must be a time such as 10m or 24h, not %q", value)
			}
			terms.For = d
		case "-id":
			id, err := strconv.ParseUint(value, 10, 64)
			if err != nil {
				return console.Usagef("-id must be an ID, not %q", value)
			}
			terms.ID = (*ringdht.ID)(&id)
		default:
			return console.Usagef("expected -once, -for and a time, or -id and an ID, not %q", flag)
		}
	}
	token, err := o.registry.NewToken(ctx, terms)
	if err != nil {
		return err
	}
	line, err := o.join(token.Number)
	if err != nil {
		return err
	}
	o.tell(c, tokenDocument{token, line}, fmt.Sprintf("Token %d. %s", token.Number, joinText(line)))
	return nil
}

func joinText(command string) string { return "Join with: " + command }

func (o *operator) expel(ctx context.Context, c *console.Call) error {
	id, err := c.Node(0)
	if err != nil {
		return err
	}
	before, _ := o.join()
	if err := o.registry.Expel(ctx, id); err != nil {
		return err
	}
	text := fmt.Sprintf("Node %d is expelled.", id)
	line, err := o.join()
	if err == nil && line != before {
		text += " The token by which it joined has ended. " + joinText(line)
	}
	o.tell(c, struct {
		Expelled ringdht.ID `json:"expelled"`
		Join     string     `json:"join"`
	}{id, line}, text)
	return nil
}

func (o *operator) rotateKey(ctx context.Context, c *console.Call) error {
	if err := o.registry.RotateKey(ctx); err != nil {
		return err
	}
	line, err := o.join()
	if err != nil {
		return err
	}
	o.tell(c, struct {
		Join string `json:"join"`
	}{line}, "The ring has a new key, and the nodes learn of it now. "+joinText(line))
	return nil
}

// secureJoin returns the function that makes join commands for a secure ring, whose registry listens
// at host and port.
func (o *operator) secureJoin(command, addr string) func(token ...uint32) (string, error) {
	return func(token ...uint32) (string, error) {
		line, err := o.registry.JoinLine(addr, token...)
		if err != nil {
			return "", err
		}
		return command + " " + quoted(line), nil
	}
}

func (o *operator) refused(_ context.Context, c *console.Call) error {
	security := o.registry.Snapshot().Security
	list := append([]status.Stranger{}, security.Strangers...)
	text := report.Strangers(list, security.Time, c.Screen.Columns())
	if len(list) == 0 {
		text = "No connection was refused for its credentials.\n"
	}
	o.show(c, list, text)
	return nil
}
