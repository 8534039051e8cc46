package dashboard

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/hex"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// WithLogin keeps the page to those that have a key. A browser gets it in the fragment of the
// page's address, #key=KEY, which is not sent and not logged; the page trades it for a cookie
// that scripts cannot read and that other sites cannot use. Programs send it as "Authorization:
// Bearer KEY". Without the key there is a form to enter it, and no word of the ring. The key
// should be that of [NewLoginKey], and the connection be TLS or loopback: see [Certificate].
func WithLogin(key string) Option {
	return func(h *handler) { h.login = newLogin(key) }
}

// NewLoginKey returns 128 random bits, in 26 letters and digits.
func NewLoginKey() string {
	var b [16]byte
	rand.Read(b[:]) // it does not fail
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b[:]))
}

// login knows the key, and the cookie that it is traded for. A cookie that is stolen is of no use
// after the next start, since the key is another one then.
type login struct{ key, session [sha256.Size]byte }

// cookieName is the name of the cookie at the address that a request asks. Browsers keep one set of
// cookies for all ports of a host, so the port is in the name: the pages of two registries on one
// machine do not log each other out.
func cookieName(r *http.Request) string {
	const name = "ringdht-login"
	_, port, err := net.SplitHostPort(r.Host)
	if number, e := strconv.ParseUint(port, 10, 16); err == nil && e == nil {
		return name + "-" + strconv.FormatUint(number, 10)
	}
	return name
}

func newLogin(key string) *login {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte("session"))
	return &login{sha256.Sum256([]byte(key)), [sha256.Size]byte(mac.Sum(nil))}
}

// knows reports whether a request may see the ring.
func (l *login) knows(r *http.Request) bool {
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return l.isKey(bearer)
	}
	c, err := r.Cookie(cookieName(r))
	if err != nil {
		return false
	}
	session, err := hex.DecodeString(c.Value)
	return err == nil && subtle.ConstantTimeCompare(session, l.session[:]) == 1
}

func (l *login) isKey(text string) bool {
	sum := sha256.Sum256([]byte(text))
	return subtle.ConstantTimeCompare(sum[:], l.key[:]) == 1
}

// loginFiles may be seen by all: what the form needs.
var loginFiles = map[string]bool{"/login.js": true, "/style.css": true, "/icon.svg": true}

// guardLogin lets requests with a login pass. Others see the form, and may send a key.
func (h *handler) guardLogin(next http.Handler) http.Handler {
	if h.login == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/login":
			h.enter(w, r)
		case h.login.knows(r) || loginFiles[r.URL.Path]:
			next.ServeHTTP(w, r)
		case r.URL.Path == "/" || r.URL.Path == "":
			page["/login.html"].ServeHTTP(w, r)
		default:
			w.Header().Set("WWW-Authenticate", "Bearer")
			refuse(w, http.StatusUnauthorized, "log in: open the page by the address that the registry has printed, with its key; programs send the key as Authorization: Bearer")
		}
	})
}

// enter serves /login: it trades the key for a cookie, and tells a page whether it has one. A wrong key is a guess at 128 bits, so
// there is no need to slow guesses down.
func (h *handler) enter(w http.ResponseWriter, r *http.Request) {
	var ask struct{ Key string }
	switch {
	case r.Method == http.MethodGet && h.login.knows(r):
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodGet:
		refuse(w, http.StatusUnauthorized, "send the key with POST")
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		refuse(w, http.StatusMethodNotAllowed, "send the key with POST")
	case !decode(w, r, &ask): // it has answered
	case !h.login.isKey(strings.TrimSpace(ask.Key)):
		refuse(w, http.StatusForbidden, "that is not the key: the registry prints it at its start, or names the file that has it; where it prints it, each start has another one")
	default:
		http.SetCookie(w, &http.Cookie{
			Name: cookieName(r), Value: hex.EncodeToString(h.login.session[:]), Path: "/",
			HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil,
		})
		answer(w, http.StatusOK, map[string]bool{"in": true})
	}
}
