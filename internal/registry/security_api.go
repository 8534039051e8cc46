package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/x/ringdht/status"
)

// errOpen is the error of what only a secure ring has.
var errOpen = errors.New("the ring is open: only a secure one has this (WithSecurity)")

func openError(what string) error { return fmt.Errorf("ringdht: registry: %s: %w", what, errOpen) }

// JoinLine returns the line by which nodes join.
func (r *Registry) JoinLine(addr string, token ...uint32) (string, error) {
	return "", openError("making a join line")
}

// NewToken makes a token.
func (r *Registry) NewToken(ctx context.Context, t status.TokenTerms) (status.Token, error) {
	return status.Token{}, openError("making a token")
}

// Tokens lists the tokens.
func (r *Registry) Tokens() []status.Token { return nil }

// RotateTokens ends all tokens and makes a new one.
func (r *Registry) RotateTokens(ctx context.Context) error { return openError("ending all tokens") }

// Expel ends a node for good.
func (r *Registry) Expel(ctx context.Context, id status.ID) error {
	return openError("expelling a node")
}

// RotateKey gives the ring another key.
func (r *Registry) RotateKey(ctx context.Context) error { return openError("changing the key") }
