"""SockJS 0.3.x at ``/sockjs``: DDP for browsers that run a stock Meteor bundle."""
