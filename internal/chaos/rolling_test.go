//go:build linux

package chaos

import (
	"fmt"
	"syscall"
	"testing"
	"time"
)

// Five instances of a service, and their registry, are restarted under 1,000 requests a
// second. Every request gets its answer, from the one instance that handled it.
func TestRollingRestart(t *testing.T) {
	skipShort(t)
	for _, c := range []struct {
		what  string
		run   func(*service)
		kinds []kind // without -chaos.roll
	}{
		{"one by one", oneByOne, []kind{keeps}},
		{"meanwhile", func(s *service) { registryMeanwhile(s, syscall.SIGTERM) }, []kind{forgets, keeps}},
		{"killed meanwhile", func(s *service) { registryMeanwhile(s, syscall.SIGKILL) }, []kind{keeps, isSecure}},
		{"thrice", registryThrice, []kind{forgets}},
		{"close together", closeTogether, []kind{forgets}},
	} {
		if *flagRoll > 0 {
			c.kinds = []kind{forgets, keeps, isSecure}
		}
		for _, k := range c.kinds {
			t.Run(c.what+", "+string(k), func(t *testing.T) {
				t.Parallel()
				s := newService(t, k != forgets, k == isSecure)
				began := time.Now()
				for rounds := 0; rounds == 0 || time.Since(began) < *flagRoll; rounds++ {
					c.run(s)
				}
				s.balance()
			})
		}
	}
}

// kind is that of the ring whose registry is restarted.
type kind string

const (
	forgets  kind = "without a state"
	keeps    kind = "with a state"
	isSecure kind = "of a secure ring"
)

// oneByOne restarts all instances, then the registry, then all instances.
func oneByOne(s *service) {
	s.measure("nothing", func() { time.Sleep(observation) })
	s.measure("five instances four times, with their ports and IDs", func() { s.rollAll(4, true) })
	s.measure("the registry", func() {
		s.registryEnds(syscall.SIGTERM)
		s.startRegistry()
		s.settle()
	})
	s.measure("five instances four times, with new ports and IDs", func() { s.rollAll(4, false) })
}

func (s *service) rollAll(times int, same bool) {
	s.t.Helper()
	for range times {
		for i := range s.instances {
			s.roll(i, same, nil)
		}
	}
}

// closeTogether restarts the registry some milliseconds after an instance was asked to end. So
// the registry may end when it has told some of the members that the instance has left.
func closeTogether(s *service) {
	s.measure("an instance, and its registry some ms later", func() {
		for i := range 4 {
			s.roll(i%serviceSize, i%2 == 0, func() {
				time.Sleep(time.Duration(i) * 7 * time.Millisecond)
				s.registryEnds(syscall.SIGTERM)
				s.startRegistry()
			})
		}
	})
}

// registryMeanwhile restarts instances, and the registry at each moment of a restart.
func registryMeanwhile(s *service, how syscall.Signal) {
	prefix := ""
	if how == syscall.SIGKILL {
		prefix = "kill -9: "
	}
	s.measure(prefix+"an instance while the registry is away", func() {
		s.registryEnds(how)
		s.roll(0, true, func() {
			s.instances[0].ends()
			s.startRegistry()
		})
	})
	s.measure(prefix+"the registry while an instance is away", func() {
		s.roll(1, true, func() {
			s.instances[1].ends()
			s.registryEnds(how)
			s.startRegistry()
		})
	})
	s.measure(prefix+"an instance and the registry at once", func() {
		s.roll(2, false, func() {
			s.registryEnds(how)
			s.startRegistry()
		})
	})
	s.measure(prefix+"the registry while an instance waits for it", func() {
		id := s.instances[3].id()
		s.registryEnds(how)
		s.down(3)
		s.up(3, false, s.door)
		s.startRegistry()
		s.restarted(3, false, id)
	})
	s.measure(prefix+"a new instance reaches the registry first", func() { newcomerFirst(s, how) })
}

// newcomerFirst lets a new instance through to a restarted registry before all members.
func newcomerFirst(s *service, how syscall.Signal) {
	own := newDoor(s.t)
	id := s.instances[4].id()
	s.down(4)
	s.instances[4].ends()
	s.registryEnds(how)
	s.door.shut()
	s.startRegistry()
	passed := own.open(s.addr)
	s.up(4, false, own)
	select {
	case <-passed:
	case <-time.After(patience):
		s.fatal(fmt.Errorf("no answer of the registry to %s", s.instances[4].name))
	}
	s.door.open(s.addr)
	s.restarted(4, false, id)
}

// registryThrice restarts the registry three times in a row while instances restart.
func registryThrice(s *service) {
	s.measure("five instances, and the registry three times in a row", func() {
		for i := range s.instances {
			s.roll(i, i%2 == 0, func() {
				if i%2 == 0 {
					return
				}
				for range 3 {
					s.registryEnds(syscall.SIGTERM)
					s.startRegistry()
				}
			})
		}
	})
}
