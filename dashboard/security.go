package dashboard

import (
	"net/http"
	"time"

	"github.com/x/ringdht/status"
)

// WithJoinLine gives the function that makes the join line of a secure ring, which
// ringdht.Registry.JoinLine is for one address. With it, [WithControl] and [WithLogin] the handler
// makes and ends tokens, expels nodes and changes the ring's key.
func WithJoinLine(f func(token ...uint32) (string, error)) Option {
	return func(h *handler) { h.joinLine = f }
}

// secured reports whether the handler may change the security of the ring. If not, it answers with an
// error.
func (h *handler) secured(w http.ResponseWriter) bool {
	if !h.controlled(w) {
		return false
	}
	if h.login == nil || h.joinLine == nil {
		refuse(w, http.StatusForbidden, "this page does not change the security of the ring: in a secure ring, the program that serves it may have commands for that, such as token, expel and rotate-key")
		return false
	}
	return true
}

// joined answers with the join line from now on, or with an error.
func (h *handler) joined(w http.ResponseWriter, err error, token ...uint32) {
	var line string
	if err == nil {
		line, err = h.joinLine(token...)
	}
	if err != nil {
		refuse(w, codeOf(err), "%s", plain(err))
		return
	}
	answer(w, http.StatusOK, map[string]any{"join": line, "token": token})
}

// token serves /token.
func (h *handler) token(w http.ResponseWriter, r *http.Request) {
	var ask struct {
		Once bool
		For  string
		ID   *identifier
	}
	if !h.secured(w) || !decode(w, r, &ask) {
		return
	}
	terms := status.TokenTerms{Once: ask.Once}
	if ask.For != "" {
		d, err := time.ParseDuration(ask.For)
		if err != nil || d <= 0 {
			refuse(w, http.StatusBadRequest, "for must be a time such as 10m or 24h, not %q", ask.For)
			return
		}
		terms.For = d
	}
	if ask.ID != nil {
		id := status.ID(*ask.ID)
		terms.ID = &id
	}
	token, err := h.r.NewToken(r.Context(), terms)
	h.joined(w, err, token.Number)
}

// rotateTokens serves /rotate-tokens.
func (h *handler) rotateTokens(w http.ResponseWriter, r *http.Request) {
	if h.secured(w) && decode(w, r, &struct{}{}) {
		h.joined(w, h.r.RotateTokens(r.Context()))
	}
}

// rotateKey serves /rotate-key.
func (h *handler) rotateKey(w http.ResponseWriter, r *http.Request) {
	if h.secured(w) && decode(w, r, &struct{}{}) {
		h.joined(w, h.r.RotateKey(r.Context()))
	}
}

// expel serves /expel.
func (h *handler) expel(w http.ResponseWriter, r *http.Request) {
	var ask struct{ ID *identifier }
	if !h.secured(w) || !decode(w, r, &ask) {
		return
	}
	if ask.ID == nil {
		refuse(w, http.StatusBadRequest, "id is missing: the ID of the node to expel")
		return
	}
	h.joined(w, h.r.Expel(r.Context(), status.ID(*ask.ID)))
}
