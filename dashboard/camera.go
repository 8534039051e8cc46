package dashboard

import (
	"encoding/json"
	"sync"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/status"
)

// camera takes snapshots, and shows the latest again to those who ask soon after.
type camera struct {
	take func() *status.Snapshot
	keep time.Duration // how long one is good for

	mu     sync.Mutex // held while one is taken, so that those who ask at once share it
	latest *shot
	taken  time.Time
}

// shot is a snapshot, encoded at most once.
type shot struct {
	*status.Snapshot
	once sync.Once
	body []byte
}

// shoot takes a snapshot.
func (c *camera) shoot() *shot {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now()
}

// show returns a snapshot that is no older than an interval, so that requests, however
// many there are, cost the registry no more than that.
func (c *camera) show() *shot {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.latest != nil && time.Since(c.taken) < c.keep {
		return c.latest
	}
	return c.now()
}

// now needs mu.
func (c *camera) now() *shot {
	c.latest, c.taken = &shot{Snapshot: c.take()}, time.Now()
	return c.latest
}

// json is the snapshot for /snapshot.json.
func (s *shot) json() []byte {
	s.once.Do(func() {
		body, err := json.Marshal(s.Snapshot)
		if err != nil { // numbers, strings and times
			panic(err)
		}
		s.body = append(body, '\n')
	})
	return s.body
}

// member finds a member in it, or nil.
func (s *shot) member(id ringdht.ID) *status.Member {
	for i := range s.Members {
		if s.Members[i].ID == id {
			return &s.Members[i]
		}
	}
	return nil
}
