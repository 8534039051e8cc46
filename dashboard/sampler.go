package dashboard

import (
	"encoding/json"
	"sync"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/status"
)

// sampler takes snapshots of the registry. Requests that come soon after one another share
// a sample.
type sampler struct {
	take   func() *status.Snapshot
	maxAge time.Duration // of a sample that is served again

	mu     sync.Mutex // held while a sample is taken, so that concurrent requests share it
	latest *sample
	taken  time.Time
}

// sample is a snapshot, encoded at most once.
type sample struct {
	*status.Snapshot
	once sync.Once
	body []byte
}

// fresh takes a sample now.
func (s *sampler) fresh() *sample {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.takeLocked()
}

// recent returns a sample that is at most maxAge old. So requests cost the registry one
// snapshot an interval at most, however many there are.
func (s *sampler) recent() *sample {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.latest != nil && time.Since(s.taken) < s.maxAge {
		return s.latest
	}
	return s.takeLocked()
}

// takeLocked takes a sample. The caller holds mu.
func (s *sampler) takeLocked() *sample {
	s.latest, s.taken = &sample{Snapshot: s.take()}, time.Now()
	return s.latest
}

// json returns the snapshot as /snapshot.json serves it.
func (s *sample) json() []byte {
	s.once.Do(func() {
		body, err := json.Marshal(s.Snapshot)
		if err != nil { // impossible: it holds numbers, strings and times only
			panic(err)
		}
		s.body = append(body, '\n')
	})
	return s.body
}

// gone returns the last status of a node that is gone, or nil.
func (s *sample) gone(id ringdht.ID) *status.Gone {
	for i := range s.Gone {
		if s.Gone[i].ID == id {
			return &s.Gone[i]
		}
	}
	return nil
}

// member returns the member with this ID, or nil.
func (s *sample) member(id ringdht.ID) *status.Member {
	for i := range s.Members {
		if s.Members[i].ID == id {
			return &s.Members[i]
		}
	}
	return nil
}
