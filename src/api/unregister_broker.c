// UnregisterBroker (KIP-631): the controller decides (controller/brokers.c).
#include "api/call.h"

void api_unregister_broker(struct api_call *call) {
    api_to_controller(call, NULL);
}
