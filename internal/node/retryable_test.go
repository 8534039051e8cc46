package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/errs"
)

func TestRetryable(t *testing.T) {
	lost := unanswered{io.EOF}
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"none":                     {nil, false},
		"any":                      {errors.New("WithListen: no"), false},
		"no registry":              {lost, true},
		"wrapped":                  {fmt.Errorf("joining: %w", lost), true},
		"rebuilding":               {errs.ErrRebuilding, true},
		"taken":                    {errs.ErrTaken, true},
		"address taken":            {errAddressTaken, true},
		"ID taken":                 {errIDTaken, true},
		"full":                     {errs.ErrRingFull, true},
		"unreachable":              {errs.ErrUnreachable, true},
		"other host":               {fmt.Errorf("%w: a is not b", errOtherHost), false},
		"handshake":                {errs.ErrHandshake, false},
		"closed":                   {errs.ErrClosed, false},
		"a closed connection":      {unanswered{net.ErrClosed}, true},
		"only the context":         {context.DeadlineExceeded, false},
		"context and reason":       {&joinError{cause: context.Canceled, last: lost}, true},
		"one passes":               {errors.Join(errors.New("a"), errs.ErrTaken), true},
		"one passes, one is final": {errors.Join(errs.ErrTaken, errs.ErrHandshake), false},
		"two of one, one is final": {errors.Join(errs.ErrUnreachable, errOtherHost), false},
	} {
		if got := Retryable(c.err); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Each code of a Refused is one or the other, and says which in its text.
func TestRefusals(t *testing.T) {
	passing := map[control.Code]bool{control.CodeFull: true, control.CodeAddrTaken: true, control.CodeIDTaken: true, control.CodeUnreachable: true, control.CodeWait: true, control.CodeNameTaken: true}
	texts := make(map[string]control.Code)
	for _, r := range refusals {
		if Retryable(r.err) != passing[r.code] {
			t.Errorf("code %d, %v: retryable %v", r.code, r.err, !passing[r.code])
		}
		if other, taken := texts[r.err.Error()]; taken && !errors.Is(r.err, errs.ErrNotMember) {
			t.Errorf("codes %d and %d have the same text, %q", r.code, other, r.err)
		}
		texts[r.err.Error()] = r.code
	}
}

func TestJoinError(t *testing.T) {
	e := &joinError{context.DeadlineExceeded, unanswered{io.EOF}, 1, 1234567 * time.Microsecond}
	if !errors.Is(e, context.DeadlineExceeded) || !errors.Is(e, io.EOF) || !errors.Is(e, errs.ErrRegistryLost) || errors.Is(e, errs.ErrTaken) {
		t.Error(e)
	}
	if text := e.Error(); text != "context deadline exceeded: tried once in 1.235s, at last: EOF" {
		t.Error(text)
	}
	if e.attempts = 7; !strings.Contains(e.Error(), "tried 7 times in 1.235s") {
		t.Error(e)
	}
}
