package node_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/x/ringdht"
	"github.com/x/ringdht/internal/control"
	"github.com/x/ringdht/internal/ringtest"
	"github.com/x/ringdht/memnet"
)

func TestDeregistration(t *testing.T) {
	tr := ringtest.New(t, memnet.New(1))
	a := tr.Join(nil)
	b := tr.Join(nil)
	m := tr.DialRaw(t)
	r := m.Ask(control.TypeDeregister, control.Deregister{ID: uint64(a.ID()), Addr: a.Peer().Addr})
	if r == nil || r.Code != control.CodeNotYours || !strings.Contains(r.Reason, "another connection") {
		t.Errorf("from elsewhere: %+v", r)
	}
	m = tr.DialRaw(t)
	r = m.Ask(control.TypeDeregister, control.Deregister{ID: uint64(a.ID()), Addr: "n7:1"})
	if r == nil || r.Code != control.CodeNotYours || !strings.Contains(r.Reason, a.Peer().Addr) {
		t.Errorf("with another address: %+v", r)
	}
	m = tr.DialRaw(t)
	if r = m.Ask(control.TypeDeregister, control.Deregister{ID: 1 << 17}); r == nil || r.Code != control.CodeNotMember {
		t.Errorf("nobody: %+v", r)
	}
	if len(tr.Registry.Members()) != 2 {
		t.Fatalf("members: %v", tr.Registry.Members())
	}

	// Over its own connection, twice.
	if err := ringtest.NodeOf(a).AskToLeave(); err != nil {
		t.Errorf("the first time: %v", err)
	}
	if err := ringtest.NodeOf(a).AskToLeave(); !errors.Is(err, ringdht.ErrNotMember) || !strings.Contains(err.Error(), "already") {
		t.Errorf("the second time: %v", err)
	}

	if err := b.Leave(tr.Ctx()); err != nil {
		t.Errorf("leaving: %v", err)
	}
	if err := b.Leave(tr.Ctx()); !errors.Is(err, ringdht.ErrNotMember) {
		t.Errorf("leaving twice: %v", err)
	}
	if len(tr.Registry.Members()) != 0 {
		t.Errorf("members: %v", tr.Registry.Members())
	}
}
