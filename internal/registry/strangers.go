package registry

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"time"

	"github.com/x/ringdht/internal/dial"
	"github.com/x/ringdht/internal/handshake"
	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/status"
)

// strangers are the latest sources that a secure ring has refused. It is bounded: beyond
// status.MaxStrangers the source that came last the longest time ago is forgotten.
type strangers struct {
	list   map[strangerKey]*status.Stranger
	counts map[status.Refusal]int64
	told   map[status.Refusal]time.Time // when the latest event of a cause was made
}

type strangerKey struct {
	from  string
	cause status.Refusal
}

// refusedEventInterval is the shortest time between two events of one cause: strangers must not
// push the other events out of the list.
const refusedEventInterval = time.Minute

// note counts a refusal, and reports whether it is worth an event.
func (s *strangers) note(now time.Time, from string, cause status.Refusal) (event bool) {
	if s.list == nil {
		s.list, s.counts, s.told = make(map[strangerKey]*status.Stranger), make(map[status.Refusal]int64), make(map[status.Refusal]time.Time)
	}
	s.counts[cause]++
	key := strangerKey{from, cause}
	one := s.list[key]
	if one == nil {
		if len(s.list) >= status.MaxStrangers {
			var oldest strangerKey
			for k, v := range s.list {
				if o := s.list[oldest]; o == nil || v.Last.Before(o.Last) {
					oldest = k
				}
			}
			delete(s.list, oldest)
		}
		one = &status.Stranger{From: from, Cause: cause, First: now}
		s.list[key] = one
	}
	one.Times++
	one.Last = now
	if at, told := s.told[cause]; told && now.Sub(at) < refusedEventInterval {
		return false
	}
	s.told[cause] = now
	return true
}

// show lists the sources, the latest first.
func (s *strangers) show() []status.Stranger {
	list := make([]status.Stranger, 0, len(s.list))
	for _, one := range s.list {
		list = append(list, *one)
	}
	slices.SortFunc(list, func(a, b status.Stranger) int {
		return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.From, b.From), cmp.Compare(a.Cause, b.Cause))
	})
	return list
}

func (s *strangers) total() map[status.Refusal]int64 {
	if s.counts == nil {
		return map[status.Refusal]int64{}
	}
	return maps.Clone(s.counts)
}

// hostOf is where a connection comes from, without the port, which differs each time.
func hostOf(remote net.Addr) string {
	host, _, err := net.SplitHostPort(remote.String())
	if err != nil || !dial.Printable(host) {
		host = fmt.Sprintf("%.100q", remote.String())
	}
	return host
}

// noteStranger counts a refusal for its credentials, and tells the operator.
func (r *Registry) noteStranger(remote net.Addr, cause status.Refusal, why string) {
	from := hostOf(remote)
	r.sec.mu.Lock()
	event := r.sec.strangers.note(time.Now(), from, cause)
	r.sec.mu.Unlock()
	if !event {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.recordQuietly(status.Event{Kind: status.EventRefused, Why: fmt.Sprintf("from %s: %s: %s", from, cause, why)})
	r.change()
}

// refusedConn counts a connection that was refused at its handshake in a secure ring.
func (r *Registry) refusedConn(remote net.Addr, err error) {
	cause := status.RefusedHandshake
	for _, c := range []struct {
		err   error
		cause status.Refusal
	}{
		{secure.ErrRevoked, status.RefusedRevoked},
		{secure.ErrExpired, status.RefusedExpired},
		{secure.ErrOtherKey, status.RefusedStolen},
		{secure.ErrNotAdmitted, status.RefusedForeign},
	} {
		if errors.Is(err, c.err) {
			cause = c.cause
			break
		}
	}
	if cause == status.RefusedHandshake {
		switch {
		case errors.Is(err, handshake.ErrPlain):
			cause = status.RefusedPlain
		case !errors.Is(err, handshake.ErrStranger):
			return // it has hung up, or has another name or codec
		}
	}
	r.noteStranger(remote, cause, "its connection was refused")
}
