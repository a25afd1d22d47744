// UpdateFeatures (KIP-584): the controller decides (controller/update_features.c).
#include "api/call.h"

void api_update_features(struct api_call *call) {
    api_to_controller(call, NULL);
}
