package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/yingbi/yingbi/enclave/internal/spool"
	"github.com/yingbi/yingbi/policy/ledger"
	"github.com/yingbi/yingbi/policy/vocabulary"
	"github.com/yingbi/yingbi/sdk/yingbipb"
)

// Upload takes a payload ahead of its job, piece by piece as next gives them
// until io.EOF. What came before the caller broke off is kept, and the next call
// goes on from there. It is answered when the payload is whole and has its
// digest; a part is answered with how much of it is there. It is no entry: it is
// part of a job's request, which is logged with its digest when it comes.
func (g *Gateway) Upload(ctx context.Context, who vocabulary.Identity, next func() (*yingbipb.UploadChunk, error)) (*yingbipb.UploadResponse, error) {
	if err := g.uploads(ctx, who); err != nil {
		return nil, err
	}
	if err := g.limit.enter(who.ID); err != nil {
		return nil, err
	}
	defer g.limit.leave(who.ID)
	first, err := next()
	if errors.Is(err, io.EOF) {
		return nil, badRequest("upload: expected a piece that names the payload")
	}
	if err != nil {
		return nil, err
	}
	u, err := g.spool.Begin(who.ID, first.GetDigest(), first.GetSize(), first.GetOffset())
	if err != nil {
		return nil, g.uploadError(err)
	}
	err = receive(u, first, next)
	received, closing := u.Close()
	switch {
	case errors.Is(err, spool.ErrTooLong):
		return nil, g.uploadError(err)
	case err != nil && !errors.Is(err, spool.ErrDisk):
		return nil, err // the caller's stream ended: what came is kept
	}
	if err := errors.Join(err, closing); err != nil {
		return nil, g.uploadError(err)
	}
	return &yingbipb.UploadResponse{Received: received}, nil
}

// receive writes the pieces as they come.
func receive(u *spool.Upload, piece *yingbipb.UploadChunk, next func() (*yingbipb.UploadChunk, error)) error {
	for {
		if _, err := u.Write(piece.GetData()); err != nil {
			return err
		}
		var err error
		if piece, err = next(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if piece.GetDigest() != "" || piece.GetSize() != 0 || piece.GetOffset() != 0 {
			return badRequest("upload: a piece after the first names a payload: expected data alone")
		}
	}
}

// Uploaded tells how much of a payload of the caller's is there.
func (g *Gateway) Uploaded(ctx context.Context, who vocabulary.Identity, req *yingbipb.UploadedRequest) (*yingbipb.UploadedResponse, error) {
	if err := g.uploads(ctx, who); err != nil {
		return nil, err
	}
	received, err := g.spool.Received(who.ID, req.GetDigest())
	if err != nil {
		return nil, g.uploadError(err)
	}
	return &yingbipb.UploadedResponse{Received: received}, nil
}

// uploads wants a registered enterprise.
func (g *Gateway) uploads(ctx context.Context, who vocabulary.Identity) error {
	s, err := g.snapshot(ctx)
	if err != nil {
		return err
	}
	return registered(s, who)
}

// uploadError says what a failure of the spool is to a caller. Of other
// enterprises' uploads it says nothing but that there is no place.
func (g *Gateway) uploadError(err error) error {
	var at *spool.OffsetError
	var full *spool.LimitError
	switch {
	case errors.As(err, &at):
		return refuse(ledger.ReasonBadRequest, "upload.offset", "received", fmt.Sprint(at.Received))
	case errors.As(err, &full):
		return noPlace(full)
	case errors.Is(err, spool.ErrName):
		return badRequest("upload: expected a digest, sha256: and 64 hexadecimal digits, a size from 1 and an offset within it")
	case errors.Is(err, spool.ErrTooLong):
		return refuse(ledger.ReasonBadRequest, "upload.size", "detail", "more bytes came than were declared")
	case errors.Is(err, spool.ErrDigest):
		return refuse(ledger.ReasonBadRequest, "upload.digest", "detail", "the payload has another digest or size than declared, and is dropped")
	case errors.Is(err, spool.ErrBusy):
		return rateLimited("upload.busy")
	case errors.Is(err, spool.ErrDisk):
		return unavailable("upload.disk", keyringRetry, err)
	}
	return internal("keeping an upload", err)
}

func noPlace(full *spool.LimitError) error {
	rule := map[string]string{
		spool.LimitOwner: "limits.uploadBytesPerEnterprise", spool.LimitAll: "limits.uploadBytes", spool.LimitFiles: "uploads",
	}[full.Limit]
	e := refuse(ledger.ReasonUploadsFull, rule, "limit", fmt.Sprint(full.Most), "asked", fmt.Sprint(full.Asked))
	if full.Limit != spool.LimitAll {
		e.Meta["used"] = fmt.Sprint(full.Used)
	}
	return e
}
