package registry

import (
	"strings"
	"testing"
	"time"

	"github.com/x/ringdht/internal/secure"
	"github.com/x/ringdht/status"
)

func secretOf(n byte) secure.Secret { return secure.Secret{n, 1, 2, 3} }

func at(seconds int) time.Time { return time.Unix(1_700_000_000+int64(seconds), 0) }

// mustAdd adds a token whose secret is made of its number.
func mustAdd(t *testing.T, all *tokens, now time.Time, terms status.TokenTerms) token {
	t.Helper()
	n, err := all.add(now, terms, secretOf(byte(all.latest+1)))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestTokensEnd(t *testing.T) {
	var all tokens
	id := status.ID(7)
	mustAdd(t, &all, at(0), status.TokenTerms{})
	mustAdd(t, &all, at(0), status.TokenTerms{For: 10 * time.Second})
	mustAdd(t, &all, at(0), status.TokenTerms{Once: true})
	mustAdd(t, &all, at(0), status.TokenTerms{ID: &id})
	if s := all.shared(); s == nil || s.number != 1 {
		t.Fatalf("the token for all is %+v", s)
	}
	if all.end(at(1), 9, status.TokenUsed) || !all.end(at(1), 3, status.TokenUsed) || all.end(at(2), 3, status.TokenRotated) {
		t.Error("a token that is not valid was ended, or one that is was not")
	}
	all.find(3).by = secure.Key{1}
	if next := all.nextExpiry(); !next.Equal(at(10)) {
		t.Error("the next expiry is", next)
	}
	if all.expire(at(9)) || !all.expire(at(10)) || all.expire(at(11)) {
		t.Error("it expires at another time than told")
	}
	for number, want := range map[uint32]string{1: "", 2: "has expired", 3: "was used", 4: ""} {
		if why := all.find(number).admits(at(11), secure.Key{2}); (why == "") != (want == "") || !strings.Contains(why, want) {
			t.Errorf("token %d: %q, want %q", number, why, want)
		}
	}
	if why := all.find(3).admits(at(11), secure.Key{1}); why != "" {
		t.Error("the process that has used a token cannot ask again:", why)
	}
	all.rotate(at(12))
	if all.shared() != nil || !strings.Contains(all.find(1).admits(at(13), secure.Key{2}), "ended by the operator") || all.find(2).state != status.TokenExpired {
		t.Errorf("after the rotation: %+v", all.list)
	}
	if n := mustAdd(t, &all, at(14), status.TokenTerms{}); n.number != 5 || all.shared().number != 5 {
		t.Error("numbers do not grow")
	}
}

// A token that is over at the moment does not admit, even if no one has looked yet.
func TestTokensExpireByThemselves(t *testing.T) {
	var all tokens
	n := mustAdd(t, &all, at(0), status.TokenTerms{For: time.Second})
	if n.admits(at(0), secure.Key{}) != "" || n.admits(at(1), secure.Key{}) == "" {
		t.Error("the end is not exact")
	}
}

func TestTokensAreBounded(t *testing.T) {
	var all tokens
	for range status.MaxTokens {
		mustAdd(t, &all, at(0), status.TokenTerms{For: time.Minute})
	}
	if _, err := all.add(at(1), status.TokenTerms{}, secretOf(200)); err != errTooManyTokens {
		t.Fatal(err)
	}
	mustAdd(t, &all, at(60), status.TokenTerms{}) // the others have expired
	for i := range 300 {
		all.rotate(at(100 + i))
		mustAdd(t, &all, at(100+i), status.TokenTerms{})
	}
	if len(all.list) != status.MaxTokens+1 || all.find(all.latest-1) == nil || all.find(1) != nil {
		t.Errorf("%d tokens are remembered, latest %d", len(all.list), all.latest)
	}
	for _, terms := range []status.TokenTerms{{For: -1}, {For: maxValidity + 1}} {
		if _, err := all.add(at(500), terms, secretOf(1)); err == nil {
			t.Errorf("%+v", terms)
		}
	}
}

// A proof is compared with all secrets, valid or not.
func TestTokensMatch(t *testing.T) {
	var all tokens
	for range 5 {
		mustAdd(t, &all, at(0), status.TokenTerms{})
	}
	all.rotate(at(1))
	tried := 0
	found := all.match(func(s secure.Secret) bool { tried++; return s == secretOf(2) })
	if found == nil || found.number != 2 || tried != 5 {
		t.Errorf("found %+v after %d", found, tried)
	}
	if all.match(func(secure.Secret) bool { return false }) != nil {
		t.Error("a match of none")
	}
	before := all.clone()
	all.find(2).state = status.TokenValid
	if before.find(2).state != status.TokenRotated {
		t.Error("a clone shares tokens")
	}
}
