package dashboard

import (
	"fmt"
	"testing"
	"time"

	"github.com/x/ringdht/status"
)

// The page gets the latest of a secure ring's lists, within bounds, and changes no snapshot. An
// open ring has null.
func TestSecurityPart(t *testing.T) {
	s := &status.Security{Key: "k", Refusals: map[status.Refusal]int64{status.RefusedToken: 2, status.RefusedPlain: 3}}
	for i := range status.MaxStrangers {
		s.Strangers = append(s.Strangers, status.Stranger{From: fmt.Sprint("h", i), Cause: status.RefusedToken, Times: 1, Last: time.UnixMilli(int64(i))})
	}
	for i := range status.MaxExpelled {
		s.Expelled = append(s.Expelled, status.Expelled{ID: status.ID(i), When: time.UnixMilli(int64(i))})
	}
	p := securityOf(s)
	if p.Refused != 5 || p.ExpelledAll != status.MaxExpelled || len(p.Strangers) != maxListed || len(p.Expelled) != maxListed {
		t.Errorf("%+v", p)
	}
	if got := fmt.Sprint(p.Strangers[0], p.Expelled[0], s.Strangers[0].From); got != "[h63 token over 1 63] [1023 1023]h0" {
		t.Error(got)
	}
	if got := string(encode(securityOf(nil))); got != "null" {
		t.Errorf("an open ring: %s", got)
	}
	led := []status.Sidelined{{Node: status.Peer{ID: 1 << 63}, Why: "a"}, {Node: status.Peer{ID: 2}, Why: "b", Trial: true}}
	if got, want := string(encodeSidelined(led)), `[["9223372036854775808","a"],["2","on trial: b"]]`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
