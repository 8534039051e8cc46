package main

import (
	"strings"

	"github.com/x/ringdht"
	"github.com/x/ringdht/examples/internal/console"
)

// The documents of -json. A list is an array of [ringdht.Peer], and a set-up a
// [ringdht.Audit].

// failure is the document of a command that failed.
type failure struct {
	Error string `json:"error"`
}

// routes is a node's routing table.
type routes struct {
	ringdht.Peer
	Entries []ringdht.Peer `json:"entries"`
}

// account is a summary.
type account struct {
	*ringdht.Summary
	Exact   bool    `json:"exact"`
	Verdict string  `json:"verdict"`
	Rate    float64 `json:"rate"` // messages delivered per second
}

func newAccount(s *ringdht.Summary) account {
	a := account{s, s.Exact(), s.Verdict(), s.Rate()}
	if s.Wrong == nil { // an empty list reads better than null
		c := *s
		c.Wrong = []string{}
		a.Summary = &c
	}
	return a
}

// trace is the way between two nodes.
type trace struct {
	From ringdht.ID    `json:"from"`
	To   ringdht.ID    `json:"to"`
	Hops []ringdht.Hop `json:"hops"`
}

// registered is how many nodes there are.
type registered struct {
	Registered int `json:"registered"`
}

// text is an error of the registry, which need not say that it is one.
func text(err error) string {
	return strings.TrimPrefix(console.Text(err), "registry: ")
}
