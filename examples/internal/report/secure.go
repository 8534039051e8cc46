package report

import (
	"time"

	"github.com/x/ringdht/examples/internal/table"
	"github.com/x/ringdht/status"
)

// Tokens lists the tokens of a secure ring, as they are at a time.
func Tokens(tokens []status.Token, now time.Time, width int) string {
	t := table.New(table.Right("token"), table.Left("state"), table.Left("joins"), table.Right("joined"), table.Left("until").Rank(1), table.Left("made").Rank(2))
	for i := range tokens {
		token := &tokens[i]
		joins, until, state := "any nodes", "it is rotated", string(token.State)
		if token.ID != nil {
			joins = "node " + token.ID.String()
		}
		if token.Once {
			joins = "one node"
			if token.ID != nil {
				joins = "node " + token.ID.String() + " once"
			}
			until = "a node has joined"
		}
		switch {
		case !token.Valid():
			until = table.Span(now.Sub(token.Ended)) + " ago"
		case !token.Until.IsZero():
			until = "in " + table.Span(token.Until.Sub(now))
		}
		t.Row(token.Number, state, joins, token.Uses, until, table.Span(now.Sub(token.Made))+" ago")
	}
	return fit(t, width, "token list -json has all.")
}

// Strangers lists the sources whose connections a secure ring has refused.
func Strangers(list []status.Stranger, now time.Time, width int) string {
	t := table.New(table.Left("from"), table.Left("refused for"), table.Right("times"), table.Left("latest").Rank(1), table.Left("first").Rank(2))
	for i := range list {
		s := &list[i]
		t.Row(s.From, s.Cause, s.Times, table.Span(now.Sub(s.Last))+" ago", table.Span(now.Sub(s.First))+" ago")
	}
	return fit(t, width, "list-refused -json has all.")
}
