package rpc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/x/ringdht"
)

func TestRequestRoundTrip(t *testing.T) {
	for _, left := range []time.Duration{0, 1, time.Millisecond, time.Millisecond + 1, 48 * 24 * time.Hour, math.MaxInt64} {
		for _, meta := range []Meta{nil, {"a": "b"}, {"": "", "traceparent": strings.Repeat("x", metaBytes-11)}} {
			b := append(appendRequest(nil, left, "count", meta), "value"...)
			setCall(b, 1<<63+5)
			number, rest, ok := parseCall(b)
			if !ok || number != 1<<63+5 || b[0] != kindRequest {
				t.Fatalf("call %d, %v", number, ok)
			}
			r, ok := parseRequest(rest)
			if !ok || string(r.method) != "count" || string(r.value) != "value" || !maps.Equal(metaOf(r.meta), meta) {
				t.Errorf("%+v, %v", r, ok)
			}
			switch {
			case left <= 0 || left == math.MaxInt64:
				if r.left != 0 {
					t.Errorf("%v became %v", left, r.left)
				}
			case r.left < left || r.left > left+time.Millisecond:
				t.Errorf("%v became %v", left, r.left)
			}
		}
	}
}

func TestFailureRoundTrip(t *testing.T) {
	long := strings.Repeat("é", maxText)
	for _, c := range []struct{ code, text, want string }{{"", "", ""}, {"full", "no room", "no room"}, {"x", long, long[:maxText]}, {"y", "a\xffb", "a\uFFFDb"}} {
		b := appendFailure(nil, 7, c.code, c.text)
		number, rest, _ := parseCall(b)
		code, text, ok := parseFailure(rest)
		if !ok || number != 7 || code != c.code || text != c.want {
			t.Errorf("%q, %q, %v", code, text, ok)
		}
	}
	if _, _, ok := parseFailure([]byte{5, 'a'}); ok {
		t.Error("half a code is taken")
	}
}

func TestListRoundTrip(t *testing.T) {
	calls := make([]uint64, maxListed)
	for i := range calls {
		calls[i] = math.MaxUint64 - uint64(i)
	}
	got, ok := parseList(appendList(nil, kindAsk, calls...)[1:])
	if !ok || !slices.Equal(got, calls) {
		t.Error("the list is another")
	}
	for _, n := range []int{0, 7, 9, 8*maxListed + 8} {
		if _, ok := parseList(make([]byte, n)); ok {
			t.Errorf("%d bytes are taken", n)
		}
	}
}

// What is sent of a handler's error, and what errors.Is finds in it at the caller.
func TestErrorsTravel(t *testing.T) {
	full := NewError("full", "the queue is full")
	remote := func(code string) error { return &Error{Code: code, Text: "t", Remote: true, From: 9} }
	for _, c := range []struct {
		err      error
		code     string
		is, isnt []error
	}{
		{errors.New("plain"), "", nil, []error{full, ErrPanic, ErrUnknown, &Error{Text: "another"}}},
		{full, "full", []error{full, NewError("full", "other text")}, []error{NewError("empty", "")}},
		{fmt.Errorf("job 5: %w", full), "full", []error{full}, nil},
		{fmt.Errorf("via another node: %w", remote("full")), "full", []error{full}, nil},
		{verdict{ErrLeaving}, codeLeaving, []error{ErrLeaving, ErrNotHandled}, nil},
		{remote(codeLeaving), "", nil, []error{ErrLeaving, ErrNotHandled}}, // said of another request
		{notHandled("m", 5, ringdht.ErrLeft), "", nil, []error{ErrLeaving, ErrNotHandled}},
		{notHandled("m", 5, ringdht.ErrGone), "", nil, []error{ErrNotHandled}},
		{remote(codeNoService), "", nil, []error{ringdht.ErrNoService}},
		{verdict{errNested}, codeBacklog, []error{ringdht.ErrBacklog, ErrNotHandled}, nil},
		{verdict{errNoService}, codeNoService, []error{ringdht.ErrNoService, ErrNotHandled}, nil},
		{verdict{&Error{Code: codeMalformed}}, codeMalformed, []error{ErrNotHandled}, nil},
		{verdict{ErrNoMethod}, codeNoMethod, []error{ErrNoMethod, ErrNotHandled}, nil},
		{verdict{ErrPanic}, codePanic, []error{ErrPanic}, []error{ErrNotHandled}},
		{verdict{&Error{Code: codeAnswer}}, codeAnswer, nil, []error{ErrNotHandled}},
		{context.DeadlineExceeded, codeDeadline, []error{context.DeadlineExceeded}, []error{context.Canceled, ErrNotHandled}},
		{remote(codeDeadline), codeDeadline, []error{context.DeadlineExceeded}, nil},
		{fmt.Errorf("x: %w", context.Canceled), codeCanceled, []error{context.Canceled}, []error{context.DeadlineExceeded}},
		{unknown("m", 5, ringdht.ErrGone), "", nil, []error{ErrUnknown, ringdht.ErrGone}},
		{&Error{Code: strings.Repeat("x", 300)}, "", nil, nil},
	} {
		code, text := travelling(c.err)
		if code != c.code {
			t.Errorf("%v: code %q, want %q", c.err, code, c.code)
		}
		got := error(&Error{Code: code, Text: text, Remote: true, From: 3})
		for _, want := range c.is {
			if !errors.Is(got, want) {
				t.Errorf("%v is not %v", got, want)
			}
		}
		for _, not := range c.isnt {
			if errors.Is(got, not) {
				t.Errorf("%v is %v", got, not)
			}
		}
	}
	left := notHandled("m", 5, fmt.Errorf("x: %w", ringdht.ErrLeft))
	if !errors.Is(left, ErrLeaving) || !errors.Is(left, ringdht.ErrLeft) || !errors.Is(left, ErrNotHandled) || errors.Is(left, ErrUnknown) {
		t.Errorf("%v", left)
	}
}

func TestNewErrorChecksTheCode(t *testing.T) {
	for _, code := range []string{"", "rpc.mine", strings.Repeat("x", 256)} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%q is taken", code)
				}
			}()
			NewError(code, "")
		}()
	}
}

// No message makes an Endpoint panic, wait, or keep more than its bounds.
func FuzzMessages(f *testing.F) {
	request := append(appendRequest(nil, time.Second, "echo", Meta{"a": "b"}), 0xa1, 'x')
	for _, b := range [][]byte{request, appendCall(nil, kindAnswer, 5), appendFailure(nil, 5, "c", "t")} {
		f.Add(b, true)
		f.Add(b, false)
	}
	for kind := kindAsk; kind <= kindCheck; kind++ {
		f.Add(appendList(nil, kind, 1, 2, 3), true)
	}
	f.Fuzz(func(t *testing.T, message []byte, onAnswers bool) {
		w := newWorld(t)
		g := newGate()
		e := w.join(1, g.methods)
		l := requests
		if onAnswers {
			l = answers
		}
		before := bytes.Clone(message)
		e.receive(w.nodes[1].ctx, l, ringdht.Message{Source: 2, Body: message})
		if !bytes.Equal(before, message) {
			t.Error("the message was changed")
		}
		if e.calls.len() > 0 || e.serves.len() > 1 {
			t.Errorf("%d calls, %d requests", e.calls.len(), e.serves.len())
		}
		w.close()
		<-e.ctx.Done()
	})
}
