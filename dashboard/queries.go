package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/x/ringdht"
	"github.com/x/ringdht/status"
)

// snapshot serves /snapshot.json.
func (h *handler) snapshot(w http.ResponseWriter, _ *http.Request) {
	send(w, http.StatusOK, h.sampler.recent().json())
}

// node serves /node.json. Of a node that has gone lately it returns the last status that it
// reported, with the state in which it went, when, and why.
func (h *handler) node(w http.ResponseWriter, r *http.Request) {
	text := r.URL.Query().Get("id")
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		refuse(w, http.StatusBadRequest, "id must be the ID of a node, such as ?id=123, not %q", text)
		return
	}
	id := ringdht.ID(n)
	s := h.sampler.recent()
	if m := s.member(id); m != nil {
		answer(w, http.StatusOK, m)
		return
	}
	if m := s.gone(id); m != nil {
		answer(w, http.StatusOK, m)
		return
	}
	refuse(w, http.StatusNotFound, "no node has the ID %d, and none that had it is remembered", id)
}

// audits caches the audit of the latest epoch.
type audits struct {
	mu   sync.Mutex // held while an audit runs, so that concurrent requests share it
	have bool
	last status.Audit
}

// audit serves /audit.json. It audits once an epoch: a walk of all routes takes far longer
// than a snapshot, and routes change with the epoch only.
func (h *handler) audit(w http.ResponseWriter, _ *http.Request) {
	a := &h.audits
	a.mu.Lock()
	if epoch := h.r.Epoch(); !a.have || a.last.Epoch != epoch {
		a.last, a.have = h.r.Audit(), true
		a.last.Epoch = max(a.last.Epoch, epoch) // before the first set-up the audit has none
	}
	last := a.last
	a.mu.Unlock()
	answer(w, http.StatusOK, last)
}

// identifier is an ID in a request: a number, or a string from clients whose numbers have
// fewer than 64 bits.
type identifier ringdht.ID

// UnmarshalJSON implements [json.Unmarshaler].
func (i *identifier) UnmarshalJSON(b []byte) error {
	n, err := strconv.ParseUint(strings.Trim(string(b), `"`), 10, 64)
	if err != nil {
		return errors.New("an ID is a number from 0 to 2^64-1")
	}
	*i = identifier(n)
	return nil
}

// traceAnswer is the answer of /trace.
type traceAnswer struct {
	Predicted []ringdht.ID `json:"predicted"` // the route by the tables, from source to sink
	Hops      []status.Hop `json:"hops"`      // the nodes that answered, in order
	Error     string       `json:"error"`
}

// traceTime bounds the duration of a trace.
const traceTime = 5 * time.Second

// trace serves /trace. It changes nothing, so it needs no WithControl. It makes work for
// nodes, so it is a POST, guarded like the commands, and at most maxTraces run at once.
func (h *handler) trace(w http.ResponseWriter, r *http.Request) {
	var request struct{ From, To *identifier }
	if !decode(w, r, &request) {
		return
	}
	if request.From == nil || request.To == nil {
		refuse(w, http.StatusBadRequest, `a trace needs the IDs of two nodes: {"from": 123, "to": 456}`)
		return
	}
	from, to := ringdht.ID(*request.From), ringdht.ID(*request.To)
	select {
	case h.traces <- struct{}{}:
		defer func() { <-h.traces }()
	default:
		refuse(w, http.StatusServiceUnavailable, "%d traces are running: try again in a moment", maxTraces)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), traceTime)
	defer cancel()
	result := traceAnswer{Predicted: predict(h.sampler.recent().Snapshot, from, to), Hops: []status.Hop{}}
	hops, err := h.r.Trace(ctx, from, to)
	if err != nil {
		result.Error = plain(err)
	}
	result.Hops = append(result.Hops, hops...)
	answer(w, http.StatusOK, result)
}

// predict follows the tables of the snapshot until they lead no further.
func predict(s *status.Snapshot, from, to ringdht.ID) []ringdht.ID {
	tables := make(map[ringdht.ID][]ringdht.ID, len(s.Members))
	for _, m := range s.Members {
		tables[m.ID] = m.Entries
	}
	path := []ringdht.ID{from}
	for at := from; at != to; {
		entries := tables[at]
		i := ringdht.ClosestPreceding(ringdht.Space(s.Bits), at, to, entries)
		if i < 0 {
			break
		}
		at = entries[i]
		path = append(path, at)
	}
	return path
}

// maxBody bounds the body of a request, in bytes.
const maxBody = 4 << 10

// decode parses the body of a request into v. If it cannot, it answers with an error and
// returns false. The guard has set a read deadline. A body that was not read in full keeps it.
func decode(w http.ResponseWriter, r *http.Request, v any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		switch _, behind := d.Token(); {
		case behind == nil:
			err = errors.New("there is more after the object")
		case behind != io.EOF:
			err = behind
		}
	}
	var long *http.MaxBytesError
	switch {
	case err == nil: // else the deadline would end the request while it runs
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	case errors.As(err, &long):
		refuse(w, http.StatusRequestEntityTooLarge, "the request is too long: at most %d bytes", maxBody)
	case errors.Is(err, io.EOF):
		refuse(w, http.StatusBadRequest, "the request has no body: a JSON object is expected")
	default:
		refuse(w, http.StatusBadRequest, "the request is not the expected JSON object: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	return err == nil
}

// words replaces names of the library by what a reader of the page knows.
var words = strings.NewReplacer(
	"run Setup (setup-overlay)", "set it up first",
	"call Setup again", "set it up again",
	" (WithTraffic)", "",
	" (WithSecurity, -secure)", "",
	"those that Members lists", "those in the list of nodes",
)

// plain returns the text of an error in words of the page, without the prefixes that only logs need.
func plain(err error) string {
	return words.Replace(strings.TrimPrefix(strings.TrimPrefix(err.Error(), "ringdht: "), "registry: "))
}
