package dynamo

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"vigil"
)

// convert gives an error of the client its code. Errors of ours pass as they are.
func convert(err error) error {
	if err == nil {
		return nil
	}
	var own *vigil.Error
	if errors.As(err, &own) {
		return err
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return vigil.Wrap(err, vigil.CodeUnavailable, "The store did not answer in time. Try again.")
	}
	var missing *types.ResourceNotFoundException
	if errors.As(err, &missing) {
		return vigil.Wrap(err, vigil.CodeIllegal, "The store's tables are not there.")
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		switch api.ErrorCode() {
		case "ValidationException", "AccessDeniedException", "UnrecognizedClientException", "ItemCollectionSizeLimitExceededException",
			"InvalidSignatureException", "MissingAuthenticationToken", "ConditionalCheckFailedException":
			return vigil.Wrap(err, vigil.CodeInternal, "The store refused the request.")
		}
	}
	// Everything else is throttling, a fault of the service or of the network.
	return vigil.Wrap(err, vigil.CodeUnavailable, "The store cannot do this at the moment. Try again.")
}

func notFound(what string) error {
	return vigil.Errorf(vigil.CodeNotFound, "There is no such %s.", what)
}

func exists(what string) error {
	return vigil.Errorf(vigil.CodeExists, "This %s is there already.", what)
}

func conflict(what string) error {
	return vigil.Errorf(vigil.CodeConflict, "The %s was changed by someone else in the meantime. Load it again.", what)
}
