package drive

import (
	"slices"
	"testing"
)

func TestPicture(t *testing.T) {
	for _, c := range []struct {
		text        string
		want        []string
		row, column int
	}{
		{"ab\r\ncd", []string{"ab", "cd"}, 1, 2},
		{"abcdef", []string{"abcde", "f"}, 1, 1},
		{"abcde\r\nf", []string{"abcde", "f"}, 1, 1}, // a full line does not wrap by itself
		{"a\r\nb\r\nc\r\nd", []string{"b", "c", "d"}, 2, 1},
		{"abc\r\x1b[Kd", []string{"d"}, 0, 1},
		{"abc\r\nde\x1b[A\x1b[Dx", []string{"axc", "de"}, 0, 2},
		{"a\r\nb\r\nc\x1b[2A\r\x1b[J", []string{""}, 0, 0},
		{"a\x1b[?1049h\x1b[Hview\x1b[?1049lb", []string{"ab"}, 0, 2},
		{"日本語", []string{"日本", "語"}, 1, 2},
		{"e\u0301\x1b[3D\x1b[2Cx", []string{"e\u0301 x"}, 0, 3},
	} {
		p := newPicture(5, 3)
		for i := range len(c.text) { // byte by byte: a read can end anywhere
			p.write([]byte{c.text[i]})
		}
		if got := p.lines(); !slices.Equal(got, c.want) || p.row != c.row || p.column != c.column || len(p.unknown) > 0 {
			t.Errorf("%q shows %q, cursor in row %d, column %d, unknown %q", c.text, got, p.row, p.column, p.unknown)
		}
	}
	p := newPicture(5, 3)
	p.write([]byte("abcde\r\nf\r\ng"))
	p.resize(3, 2)
	if got := p.lines(); !slices.Equal(got, []string{"f", "g"}) || !slices.Equal(p.gone, []string{"abcde"}) {
		t.Errorf("smaller: %q, %q", got, p.gone)
	}
}
