// UnregisterController: the controller decides (controller/brokers.c).
#include "api/call.h"

void api_unregister_controller(struct api_call *call) {
    api_to_controller(call, NULL);
}
