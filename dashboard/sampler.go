package dashboard

import (
	"encoding/json"
	"sync"
	"time"

	"github.com/x/ringdht"
)

// sampler takes snapshots, and shows the latest again to those who ask soon after.
type sampler struct {
	take   func() *ringdht.Snapshot
	maxAge time.Duration // how long one is good for

	mu     sync.Mutex // held while one is taken, so that those who ask at once share it
	latest *sample
	taken  time.Time
}

// sample is a snapshot, encoded at most once.
type sample struct {
	*ringdht.Snapshot
	once sync.Once
	body []byte
}

// fresh takes a snapshot.
func (c *sampler) fresh() *sample {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.takeLocked()
}

// recent returns a snapshot that is no older than an interval, so that requests, however
// many there are, cost the registry no more than that.
func (c *sampler) recent() *sample {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.latest != nil && time.Since(c.taken) < c.maxAge {
		return c.latest
	}
	return c.takeLocked()
}

// takeLocked needs mu.
func (c *sampler) takeLocked() *sample {
	c.latest, c.taken = &sample{Snapshot: c.take()}, time.Now()
	return c.latest
}

// json is the snapshot for /snapshot.json.
func (s *sample) json() []byte {
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
func (s *sample) member(id ringdht.ID) *ringdht.MemberStatus {
	for i := range s.Members {
		if s.Members[i].ID == id {
			return &s.Members[i]
		}
	}
	return nil
}
