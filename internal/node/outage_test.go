package node

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/x/ringdht/internal/errs"
)

func TestOutage(t *testing.T) {
	var o outage
	reset := func(port int) error {
		return &net.OpError{Op: "read", Net: "tcp", Source: &net.TCPAddr{Port: port}, Err: errors.New("reset")}
	}
	for i, c := range []struct {
		err   error
		fresh bool
	}{
		{reset(1), true}, {reset(2), false}, {errs.ErrHandshake, true}, {reset(3), false}, {errs.ErrHandshake, false},
		{fmt.Errorf("%w: members may come back", errs.ErrRebuilding), true}, {fmt.Errorf("%w: its disk is full", errs.ErrRebuilding), true},
	} {
		if got := o.add(c.err); got != c.fresh || !errors.Is(o.err, c.err) {
			t.Errorf("%d: %v %v", i, got, o.err)
		}
	}
	long := fmt.Errorf("%w: %s", errs.ErrHandshake, strings.Repeat("x", 1<<16))
	for i := range 100 {
		o.add(fmt.Errorf("%d: %w", i, long))
	}
	if len(o.logged) != maxReasons || len(o.err.Error()) > 600 || !errors.Is(o.err, errs.ErrHandshake) {
		t.Errorf("%d reasons, the latest has %d bytes", len(o.logged), len(o.err.Error()))
	}
}
