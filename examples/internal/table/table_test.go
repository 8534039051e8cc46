package table

import (
	"strings"
	"testing"
)

func check(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got\n%s\nwant\n%s", what, got, want)
	}
}

func TestTable(t *testing.T) {
	tb := New(Left("host"), Right("port"), Left("note"))
	tb.Row("localhost", 80, "ünï")
	tb.Row("a", 12345)
	check(t, "headings", tb.String(), "host        port  note\n"+
		"localhost     80  ünï\n"+
		"a          12345\n")
	tb = New(Left(""), Right(""))
	tb.Row("messages sent", int64(7))
	tb.Row("relayed", -1200)
	check(t, "no headings", tb.String(), "messages sent      7\nrelayed        -1200\n")
	check(t, "no columns", New(Left(""), Right("")).String(), "")
	tb = New(Left("node"), Right("packets\nsent"))
	tb.Row(5, 25000)
	check(t, "two rows of headings", tb.String(), "      packets\nnode     sent\n5       25000\n")
}

// A table without room leaves out columns by their rank, narrows its gaps, and at last stacks
// the cells.
func TestFit(t *testing.T) {
	tb := New(Left("node"), Left("address").Rank(2), Right("in\nall").Rank(3), Right("sent"))
	tb.Row(12345, "10.0.0.1:80", 7, 25000)
	for _, c := range []struct {
		width         int
		text, without string
	}{
		{0, "                     in\nnode   address      all   sent\n12345  10.0.0.1:80    7  25000\n", ""},
		{30, "                     in\nnode   address      all   sent\n12345  10.0.0.1:80    7  25000\n", ""},
		{29, "node   address       sent\n12345  10.0.0.1:80  25000\n", "in all"},
		{24, "node    sent\n12345  25000\n", "address, in all"},
		{11, "node   sent\n12345 25000\n", "address, in all"},
		{10, "node\n    12345\nsent\n    25000\n", "address, in all"},
	} {
		text, without := tb.Fit(c.width)
		check(t, "fitted", text, c.text)
		check(t, "without", strings.Join(without, ", "), c.without)
	}
	check(t, "the table itself", tb.String(), "                     in\nnode   address      all   sent\n12345  10.0.0.1:80    7  25000\n")
}

// Sentences wrap beside the other columns, or below them if there is no room.
func TestTextWraps(t *testing.T) {
	tb := New(Right("at"), Left("what"), Text("why"))
	tb.Row(1, "dead", "connection lost: EOF, and it does not answer")
	tb.Row(10, "left", "")
	for _, c := range []struct {
		width int
		text  string
	}{
		{0, "at  what  why\n 1  dead  connection lost: EOF, and it does not answer\n10  left\n"},
		{40, "at  what  why\n 1  dead  connection lost: EOF, and it\n          does not answer\n10  left\n"},
		{24, "at  what\n 1  dead\n    connection lost:\n    EOF, and it does not\n    answer\n10  left\n"},
	} {
		text, _ := tb.Fit(c.width)
		check(t, "wrapped", text, c.text)
	}
	alone := New(Text(""))
	alone.Row("some words of a sentence")
	text, _ := alone.Fit(10)
	check(t, "alone", text, "some words\nof a\nsentence\n")
}
