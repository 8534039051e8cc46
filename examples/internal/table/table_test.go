package table

import "testing"

func TestTable(t *testing.T) {
	tb := New(Left("host"), Right("port"), Left("note"))
	tb.Row("localhost", 80, "ünï")
	tb.Row("a", 12345)
	want := "host        port  note\n" +
		"localhost     80  ünï\n" +
		"a          12345\n"
	if got := tb.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestTableWithoutHeadings(t *testing.T) {
	tb := New(Left(""), Right(""))
	tb.Row("messages sent", int64(7))
	tb.Row("relayed", -1200)
	want := "messages sent      7\nrelayed        -1200\n"
	if got := tb.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := New(Left(""), Right("")).String(); got != "" {
		t.Errorf("the empty table is %q", got)
	}
}
