package broadcast

import (
	"bytes"
	"math"
	"reflect"
	"testing"
)

func TestFramesComeBack(t *testing.T) {
	for _, f := range []Frame{
		{Kind: Data, Origin: Member{5, 1 << 61}, Number: 7, Lo: 3, Limit: math.MaxUint64, Tag: 9, Epoch: 4, Body: []byte("x")},
		{Kind: Need, Origin: Member{5, 6}, Number: 7, Last: 9, Body: []byte{}},
	} {
		b := f.Append(nil)
		got, err := Parse(b)
		if err != nil || !reflect.DeepEqual(got, f) || len(b) > MaxHeader+len(f.Body) {
			t.Errorf("%+v came back as %+v, %v", f, got, err)
		}
		for n := range len(b) - len(f.Body) {
			if _, err := Parse(b[:n]); err == nil {
				t.Errorf("%d bytes of %d are a frame", n, len(b))
			}
		}
	}
	if _, err := Parse(Frame{Kind: Need + 1}.Append(nil)); err == nil {
		t.Error("a kind that there is not")
	}
	if _, err := Parse(append(Frame{Kind: Confirm}.Append(nil), 1)); err == nil {
		t.Error("a body where there is none")
	}
}

func FuzzFrame(f *testing.F) {
	f.Add(Frame{Kind: Data, Number: 7, Body: []byte("x")}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := Parse(b)
		if err != nil {
			return
		}
		y, err := Parse(x.Append(nil))
		if err != nil || x.Kind != y.Kind || x.Tag != y.Tag || !bytes.Equal(x.Body, y.Body) {
			t.Errorf("%+v became %+v, %v", x, y, err)
		}
	})
}
