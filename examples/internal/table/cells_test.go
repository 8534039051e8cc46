package table

import "testing"

func TestCells(t *testing.T) {
	for line, want := range map[string]int{"": 0, "abc": 3, "é e\u0301": 3, "日本": 4, "한": 2, "🙂!": 3, "a\u200bb": 2} {
		if got := Cells(line); got != want {
			t.Errorf("%q has %d cells, want %d", line, got, want)
		}
	}
	for _, c := range []struct {
		line string
		most int
		want string
	}{{"abc", 2, "ab"}, {"abc", 3, "abc"}, {"日本", 3, "日"}, {"日本", 0, ""}, {"e\u0301e", 1, "e\u0301"}} {
		if got := Cut(c.line, c.most); got != c.want {
			t.Errorf("%d cells of %q are %q", c.most, c.line, got)
		}
	}
}

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		text string
		most int
		want string
	}{
		{"one two three", 0, "one two three"},
		{"one two three", 7, "one two\nthree"},
		{"one two three", 6, "one\ntwo\nthree"},
		{"one  two\nthree four\n", 20, "one  two\nthree four\n"},
		{"abcdefgh ij kl", 4, "abcdefgh\nij\nkl"},
		{"  abcdefgh ij", 4, "  abcdefgh\nij"},
		{"日本 日本 日本", 9, "日本 日本\n日本"},
		{"abcdefgh", 4, "abcdefgh"},
		{"a b ", 3, "a b\n"},
	} {
		if got := Wrap(c.text, c.most); got != c.want {
			t.Errorf("%q at %d: %q, want %q", c.text, c.most, got, c.want)
		}
	}
}
