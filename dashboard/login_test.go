package dashboard

import (
	"crypto/tls"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Without the key a client gets the form, and no word of the ring.
func TestLogin(t *testing.T) {
	tr := newTestRing(t, 2)
	key := NewLoginKey()
	server := httptest.NewTLSServer(Handler(tr.registry, WithControl(), WithLogin(key)))
	defer server.Close()
	client := server.Client()
	client.Jar, _ = cookiejar.New(nil)
	call := func(method, path, body string, header ...string) (int, string, http.Header) {
		t.Helper()
		r, _ := http.NewRequestWithContext(t.Context(), method, server.URL+path, strings.NewReader(body))
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text := make([]byte, 1<<16)
		n, _ := resp.Body.Read(text)
		return resp.StatusCode, string(text[:n]), resp.Header
	}
	ring := []struct{ method, path, body string }{
		{"GET", "/snapshot.json", ""}, {"GET", "/audit.json", ""}, {"GET", "/node.json?id=1", ""}, {"GET", "/events", ""},
		{"POST", "/trace", `{"from":1,"to":2}`}, {"POST", "/setup", `{"k":1}`}, {"POST", "/run", `{"messages":1}`}, {"POST", "/stop", "{}"},
		{"GET", "/main.js", ""}, {"GET", "/nothing", ""}, {"GET", "//snapshot.json", ""}, {"GET", "/./login/../snapshot.json", ""},
	}
	for _, c := range ring {
		if status, body, _ := call(c.method, c.path, c.body); status != http.StatusUnauthorized || strings.Contains(body, "epoch") {
			t.Errorf("%s %s without a login: %d %.80s", c.method, c.path, status, body)
		}
	}
	if status, body, _ := call("GET", "/", ""); status != 200 || !strings.Contains(body, `type="password"`) {
		t.Errorf("the form: %d %.80s", status, body)
	}
	for path := range loginFiles {
		if status, _, _ := call("GET", path, ""); status != 200 {
			t.Errorf("%s: %d", path, status)
		}
	}
	for _, wrong := range []string{"", key[1:], key + "a", strings.Repeat("x", 1<<20)} {
		if status, _, header := call("POST", "/login", `{"key":"`+wrong+`"}`); status < 400 || header.Get("Set-Cookie") != "" {
			t.Errorf("the key %.30q: %d", wrong, status)
		}
		if status, _, _ := call("GET", "/snapshot.json", "", "Authorization", "Bearer "+wrong); len(wrong) < 1000 && status != http.StatusUnauthorized {
			t.Errorf("the key %.30q as a header: %d", wrong, status)
		}
		if status, _, _ := call("GET", "/snapshot.json", "", "Cookie", cookieName(&http.Request{Host: strings.TrimPrefix(server.URL, "https://")})+"="+wrong); len(wrong) < 1000 && status != http.StatusUnauthorized {
			t.Errorf("the key %.30q as a cookie: %d", wrong, status)
		}
	}
	if status, _, _ := call("POST", "/login", `{"key":"`+key+`"}`, "Sec-Fetch-Site", "cross-site"); status != http.StatusForbidden {
		t.Errorf("a login by another site: %d", status)
	}
	if status, _, _ := call("GET", "/snapshot.json", "", "Authorization", "Bearer "+key); status != 200 {
		t.Errorf("a program with the key: %d", status)
	}
	status, _, header := call("POST", "/login", `{"key":"`+key+`"}`)
	cookie := header.Get("Set-Cookie")
	for _, want := range []string{"HttpOnly", "SameSite=Strict", "Secure", "Path=/"} {
		if status != 200 || !strings.Contains(cookie, want) || strings.Contains(cookie, key) {
			t.Errorf("the cookie is %q, want %s", cookie, want)
		}
	}
	if status, body, _ := call("GET", "/", ""); status != 200 || !strings.Contains(body, "main.js") {
		t.Errorf("the page: %d %.80s", status, body)
	}
	if status, _, _ := call("GET", "/snapshot.json", ""); status != 200 {
		t.Errorf("with a login: %d", status)
	}
	if status, _, _ := call("GET", "/login", ""); status != http.StatusNoContent {
		t.Errorf("a page that asks whether it has a login: %d", status)
	}
}

// The certificate is kept, so that a browser asks once.
func TestCertificate(t *testing.T) {
	dir := t.TempDir()
	config, print, err := Certificate(dir, "ring.example")
	if err != nil || len(print) != 64 {
		t.Fatal(print, err)
	}
	if _, again, err := Certificate(dir); err != nil || again != print {
		t.Errorf("%s, and again %s %v", print, again, err)
	}
	name := filepath.Join(dir, "page.pem")
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.TLS = config
	server.StartTLS()
	defer server.Close()
	client := server.Client()
	client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	resp, err := client.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if c := resp.TLS.PeerCertificates[0]; c.VerifyHostname("ring.example") != nil || c.VerifyHostname("127.0.0.1") != nil {
		t.Errorf("it is for %q and %v", c.DNSNames, c.IPAddresses)
	}
	if err := os.WriteFile(name, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Certificate(dir); err == nil || !strings.Contains(err.Error(), name) {
		t.Errorf("a broken file: %v", err)
	}
	if _, print, err := Certificate(""); err != nil || print == "" {
		t.Errorf("without a directory: %v", err)
	}
}

// What lies in the place of the temporary file gets no key: a file of another user, or a link.
func TestPlantedFilesGetNoKey(t *testing.T) {
	dir, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "elsewhere")
	if err := os.WriteFile(elsewhere, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, filepath.Join(dir, "page.pem.tmp")); err != nil {
		t.Skip("this system has no links for this user: ", err)
	}
	if _, _, err := Certificate(dir); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(elsewhere); err != nil || len(text) > 0 {
		t.Errorf("the link's file has %d bytes, %v", len(text), err)
	}
	if info, err := os.Lstat(filepath.Join(dir, "page.pem")); err != nil || !info.Mode().IsRegular() || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
}

// A browser that has logged in at one registry's page stays logged in when it logs in at another on
// the same machine: cookies do not know ports.
func TestLoginsAtTwoPorts(t *testing.T) {
	tr := newTestRing(t, 1)
	jar, _ := cookiejar.New(nil)
	client := &http.Client{Jar: jar}
	var urls []string
	for range 2 {
		key := NewLoginKey()
		server := httptest.NewServer(Handler(tr.registry, WithLogin(key)))
		defer server.Close()
		urls = append(urls, server.URL)
		r, err := client.Post(server.URL+"/login", "application/json", strings.NewReader(`{"key":"`+key+`"}`))
		if err != nil || r.StatusCode != http.StatusOK {
			t.Fatal(r, err)
		}
		r.Body.Close()
	}
	for _, url := range urls {
		r, err := client.Get(url + "/snapshot.json")
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", url, r.Status)
		}
	}
}

// A page whose address has no port, such as behind a proxy, has a cookie without one.
func TestCookieName(t *testing.T) {
	for host, want := range map[string]string{
		"localhost:8080": "ringdht-login-8080", "[::1]:443": "ringdht-login-443", "ring.example": "ringdht-login",
		"[::1]": "ringdht-login", "host:": "ringdht-login", "host:a;b": "ringdht-login", "": "ringdht-login",
	} {
		if got := cookieName(&http.Request{Host: host}); got != want {
			t.Errorf("%q: %s, want %s", host, got, want)
		}
	}
}
